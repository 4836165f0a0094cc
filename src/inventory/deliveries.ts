import type { Selectable } from 'kysely';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as events from './events.js';
import type { DeliveriesTable } from './schema.js';

/** An event on its way to one receiver. */
export type Delivery = Selectable<DeliveriesTable>;

/** Who is told of events. */
export interface Receiver {
  /** A webhook's id, or `mail` or `command`. */
  id: string;
  wants(event: { tenant: string; type: string }): boolean;
}

/**
 * Notes for each event that nobody has looked at yet who is to be told of it, in one transaction: however many workers do
 * so, and whatever dies, each receiver gets one delivery of it. Returns how many events there were.
 */
export async function address(trx: Trx, receivers: readonly Receiver[], limit = 200): Promise<number> {
  const found = await events.pending(trx, limit);
  for (const { seq, operation, tenant, type } of found) {
    for (const { id } of receivers.filter((one) => one.wants({ tenant, type }))) {
      await trx
        .insertInto('deliveries')
        .values({ receiver: id, event: seq, operation, state: 'pending', tries: 0, due: now() })
        .onConflict((conflict) => conflict.columns(['receiver', 'event']).doNothing())
        .execute();
    }
    await events.markDelivered(trx, seq);
  }
  return found.length;
}

interface Taking {
  /** ISO-8601 UTC, as `until`. */
  at: string;
  until: string;
  receivers: readonly string[];
  /** Of all, and of each receiver. */
  limit: number;
  toOne: number;
}

/**
 * Takes deliveries that are due until `until`: by then another try is due, whatever became of this one. Of one operation
 * a receiver gets an event only when it has, or will never have, those before. Times are ISO-8601 UTC.
 */
export async function take(trx: Trx, { at, until, receivers, limit, toOne }: Taking): Promise<Delivery[]> {
  if (receivers.length === 0) return [];
  const rows: Delivery[] = [];
  for (const receiver of receivers) {
    const most = Math.min(toOne, limit - rows.length);
    if (most > 0) rows.push(...(await dueOf(trx, receiver, at).limit(most).forUpdate().execute()));
  }
  for (const row of rows) {
    row.tries += 1;
    row.firstTriedAt ??= at;
    const { tries, firstTriedAt, seq } = row;
    await trx.updateTable('deliveries').set({ tries, firstTriedAt, due: until }).where('seq', '=', seq).execute();
  }
  return rows;
}

/** Whether `take` may find something. */
export async function anyDue(db: Db, at: string, receivers: readonly string[]): Promise<boolean> {
  if (receivers.length === 0) return false;
  const due = db.selectFrom('deliveries').select('seq').where('state', '=', 'pending').where('due', '<=', at);
  return (await due.where('receiver', 'in', receivers).limit(1).executeTakeFirst()) !== undefined;
}

function dueOf(db: Db, receiver: string, at: string) {
  return db
    .selectFrom('deliveries')
    .selectAll()
    .where('state', '=', 'pending')
    .where('due', '<=', at)
    .where('receiver', '=', receiver)
    .orderBy('due')
    .orderBy('seq')
    .where((row) =>
      row.not(
        row.exists(
          row
            .selectFrom('deliveries as earlier')
            .select('earlier.seq')
            .whereRef('earlier.receiver', '=', 'deliveries.receiver')
            .whereRef('earlier.operation', '=', 'deliveries.operation')
            .whereRef('earlier.event', '<', 'deliveries.event')
            .where('earlier.state', '=', 'pending'),
        ),
      ),
    );
}

/** It was received. */
export async function succeed(trx: Trx, seq: number): Promise<void> {
  const values = { state: 'delivered', reason: null, endedAt: now() } as const;
  await trx.updateTable('deliveries').set(values).where('seq', '=', seq).execute();
}

/** It was not, and is tried again at `due`; null: never, unless somebody asks for it. */
export async function fail(trx: Trx, seq: number, reason: string, due: string | null): Promise<void> {
  const values = due === null ? { state: 'parked' as const, reason, endedAt: now() } : { reason, due };
  const still = trx.updateTable('deliveries').set(values).where('seq', '=', seq);
  await still.where('state', '=', 'pending').execute();
}

/** What was given up is tried again from now on. Returns how many. */
export async function resume(trx: Trx, receiver: string): Promise<number> {
  const values = { state: 'pending', tries: 0, firstTriedAt: null, due: now(), endedAt: null } as const;
  const parked = trx.updateTable('deliveries').set(values).where('receiver', '=', receiver);
  return Number((await parked.where('state', '=', 'parked').executeTakeFirst()).numUpdatedRows);
}

/** How many of each state a receiver has. */
export async function counts(db: Db, receiver: string): Promise<Record<Delivery['state'], number>> {
  const rows = await db
    .selectFrom('deliveries')
    .select(['state', (row) => row.fn.countAll<number | string>().as('n')])
    .where('receiver', '=', receiver)
    .groupBy('state')
    .execute();
  const of = (state: Delivery['state']) => Number(rows.find((row) => row.state === state)?.n ?? 0);
  return { pending: of('pending'), delivered: of('delivered'), parked: of('parked') };
}

/** What a receiver did not get yet, or never, the oldest first, each with its event. */
export async function missed(db: Db, receiver: string, limit = 50) {
  const rows = await db
    .selectFrom('deliveries')
    .innerJoin('events', 'events.seq', 'deliveries.event')
    .select(['events.type', 'events.at', 'deliveries.operation', 'deliveries.state', 'deliveries.tries'])
    .select(['deliveries.due', 'deliveries.reason'])
    .where('deliveries.receiver', '=', receiver)
    .where('deliveries.state', '!=', 'delivered')
    .orderBy('deliveries.event')
    .limit(limit)
    .execute();
  return rows;
}

/** What was received before that time is forgotten. */
export async function sweep(trx: Trx, before: string): Promise<void> {
  await trx.deleteFrom('deliveries').where('state', '=', 'delivered').where('endedAt', '<', before).execute();
}
