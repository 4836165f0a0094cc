import type { Selectable } from 'kysely';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { EventType } from './event-types.js';
import type { EventsTable } from './schema.js';

export interface Event extends Omit<Selectable<EventsTable>, 'data'> {
  data: Record<string, unknown>;
}

export interface NewEvent {
  operation: string;
  type: EventType;
  tenant: string;
  server: string | null;
  site: string | null;
  /** Safe to show and to send: no secret. */
  data: Record<string, unknown>;
}

/** Puts an event into the outbox. A type that the operation has emitted already is not emitted again. */
export async function emit(trx: Trx, event: NewEvent): Promise<void> {
  await trx
    .insertInto('events')
    .values({ ...event, data: JSON.stringify(event.data), at: now(), deliveredAt: null })
    .onConflict((conflict) => conflict.columns(['operation', 'type']).doNothing())
    .execute();
}

/** In the order of emission. */
export async function list(
  db: Db,
  filter: { operation?: string; tenant?: string; site?: string; server?: string; limit?: number } = {},
): Promise<Event[]> {
  let query = db.selectFrom('events').selectAll();
  for (const column of ['operation', 'tenant', 'site', 'server'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  const rows = await query
    .orderBy('seq')
    .limit(filter.limit ?? 1000)
    .execute();
  return rows.map(fromRow);
}

/** Which events are wanted. */
export interface EventFilter {
  tenant: string;
  types?: readonly string[];
  /** Of any of these. */
  sites?: readonly string[];
  server?: string;
  /** Not before; ISO-8601 UTC. */
  since?: string;
  limit: number;
}

/** The newest first. */
export async function latest(db: Db, filter: EventFilter): Promise<Event[]> {
  let query = db.selectFrom('events').selectAll().where('tenant', '=', filter.tenant);
  if (filter.types !== undefined) query = query.where('type', 'in', filter.types);
  if (filter.sites !== undefined) query = query.where('site', 'in', filter.sites);
  if (filter.server !== undefined) query = query.where('server', '=', filter.server);
  if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
  const rows = await query.orderBy('seq', 'desc').limit(filter.limit).execute();
  return rows.map(fromRow);
}

/** Null when there is none. */
export async function bySeq(db: Db, seq: number): Promise<Event | null> {
  const row = await db.selectFrom('events').selectAll().where('seq', '=', seq).executeTakeFirst();
  return row ? fromRow(row) : null;
}

/** Those of which it was not noted yet who is to be told of them, oldest first. */
export async function pending(db: Db, limit: number): Promise<Event[]> {
  const undelivered = db.selectFrom('events').selectAll().where('deliveredAt', 'is', null);
  const rows = await undelivered.orderBy('seq').limit(limit).execute();
  return rows.map(fromRow);
}

/** It is noted now. */
export async function markDelivered(trx: Trx, seq: number): Promise<void> {
  await trx
    .updateTable('events')
    .set({ deliveredAt: now() })
    .where('seq', '=', seq)
    .where('deliveredAt', 'is', null)
    .execute();
}

function fromRow(row: Selectable<EventsTable>): Event {
  return { ...row, data: JSON.parse(row.data) as Record<string, unknown> };
}
