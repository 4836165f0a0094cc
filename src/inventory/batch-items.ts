import type { Selectable } from 'kysely';
import { BATCH_ITEM_STATES, type ItemCounts } from '../workflows/batch-plan.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { BatchItemsTable, BatchItemState, BatchPhase } from './schema.js';
import { noteKey } from './sealing.js';

/** One operation of a batch. */
export type Item = Selectable<BatchItemsTable>;

export interface NewItem {
  phase: BatchPhase;
  ordinal: number;
  verb: string;
  input: unknown;
  target: string;
  server: string | null;
}

export const PHASES: readonly BatchPhase[] = ['item', 'then', 'catch', 'finally'];

const ASKED_TO_STOP = 'It was asked to stop';

/** PostgreSQL takes 65535 values in a statement, SQLite 32766. */
const ROWS_AT_ONCE = 500;

/** Their inputs are sealed, each for its own place in this batch. */
export async function add(trx: Trx, keyring: Keyring, batch: string, items: readonly NewItem[]): Promise<void> {
  const key = await noteKey(trx, keyring);
  const rows = items.map(({ input, ...item }) => ({
    ...{ ...item, batch, input: keyring.seal(Buffer.from(JSON.stringify(input)), context({ ...item, batch }), key) },
    ...{ state: 'pending' as const, operation: null, failureType: null, reason: null, startedAt: null, endedAt: null },
  }));
  for (let n = 0; n < rows.length; n += ROWS_AT_ONCE) {
    await trx
      .insertInto('batchItems')
      .values(rows.slice(n, n + ROWS_AT_ONCE))
      .execute();
  }
}

/** What its verb is called with. @throws Forbidden as `Keyring.open`, also when it is another item's */
export function openInput(item: Item, keyring: Keyring): unknown {
  return JSON.parse(keyring.open(item.input, context(item)).toString('utf8')) as unknown;
}

/** What it is called inside its batch: `12`, `then1`. */
export function keyOf({ phase, ordinal }: Pick<Item, 'phase' | 'ordinal'>): string {
  return phase === 'item' ? `${ordinal}` : `${phase}${ordinal}`;
}

/** The id of its operation: always the same, so that it is asked for once, whoever dies. */
export function operationId(item: Pick<Item, 'batch' | 'phase' | 'ordinal'>, round: number): string {
  return `${item.batch}/${keyOf(item)}${round > 1 ? `-${round}` : ''}`;
}

export interface ItemFilter {
  phase?: BatchPhase;
  states?: readonly BatchItemState[];
  /** ISO-8601 UTC: those that began or ended then or later. */
  since?: string;
  limit?: number;
}

/** In their order: first what was asked for, then what follows from it. */
export async function list(db: Db, batch: string, { phase, states, since, limit }: ItemFilter = {}): Promise<Item[]> {
  let query = db.selectFrom('batchItems').selectAll().where('batch', '=', batch);
  if (phase !== undefined) query = query.where('phase', '=', phase);
  if (states !== undefined) query = query.where('state', 'in', states);
  if (since !== undefined)
    query = query.where((row) => row.or([row('startedAt', '>=', since), row('endedAt', '>=', since)]));
  if (limit !== undefined) query = query.limit(limit);
  const rows = await query.orderBy('ordinal').execute();
  return rows.sort((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase));
}

/** How many are how far, in each phase. */
export async function counts(db: Db, batch: string): Promise<Record<BatchPhase, ItemCounts>> {
  const rows = await db
    .selectFrom('batchItems')
    .select((row) => ['phase', 'state', row.fn.countAll().as('n')])
    .where('batch', '=', batch)
    .groupBy(['phase', 'state'])
    .execute();
  const of = (phase: BatchPhase) =>
    Object.fromEntries(
      BATCH_ITEM_STATES.map((state) => [
        state,
        Number(rows.find((one) => one.phase === phase && one.state === state)?.n ?? 0),
      ]),
    ) as ItemCounts;
  return { item: of('item'), then: of('then'), catch: of('catch'), finally: of('finally') };
}

/** Notes the ends of operations that have ended. Returns how many there were. */
export async function settle(trx: Trx, batch: string): Promise<number> {
  const ended = await trx
    .selectFrom('batchItems')
    .innerJoin('operations', 'operations.id', 'batchItems.operation')
    .select([
      'batchItems.operation',
      'operations.outcome',
      'operations.failureType',
      'operations.reason',
      'operations.endedAt',
    ])
    .where('batchItems.batch', '=', batch)
    .where('batchItems.state', '=', 'running')
    .where('operations.outcome', 'is not', null)
    .execute();
  for (const { operation, outcome, failureType, reason, endedAt } of ended) {
    if (outcome === null) continue;
    await trx
      .updateTable('batchItems')
      .set({ state: outcome, failureType, reason, endedAt: endedAt ?? now() })
      .where('operation', '=', operation)
      .execute();
  }
  return ended.length;
}

/** What has not begun in a phase never will. */
export async function drop(
  trx: Trx,
  batch: string,
  phase: BatchPhase,
  as: Extract<BatchItemState, 'skipped' | 'cancelled'>,
): Promise<void> {
  const pending = trx.updateTable('batchItems').set({ state: as, endedAt: now() }).where('batch', '=', batch);
  await pending.where('phase', '=', phase).where('state', '=', 'pending').execute();
}

/** One ended without an operation: it was refused, or never asked for. */
export async function end(
  trx: Trx,
  item: Item,
  state: Extract<BatchItemState, 'failed' | 'cancelled'>,
  why: { failureType: string; reason: string } | null = null,
): Promise<void> {
  await change(trx, item, { state, endedAt: now(), ...(why ?? { failureType: null, reason: null }) });
}

/** One that is at work was asked to stop. */
export async function noteCancelled(trx: Trx, operation: string): Promise<void> {
  const one = trx.updateTable('batchItems').set({ reason: ASKED_TO_STOP }).where('operation', '=', operation);
  await one.where('state', '=', 'running').execute();
}

/** Operations that are at work, and that nobody has asked to stop yet. */
export async function atWork(db: Db, batch: string): Promise<string[]> {
  const running = await list(db, batch, { phase: 'item', states: ['running'] });
  return running.filter(({ reason }) => reason !== ASKED_TO_STOP).flatMap(({ operation }) => operation ?? []);
}

/** Whatever did not succeed is to be done again, and what follows from it. Returns how many operations that are. */
export async function reopen(trx: Trx, batch: string): Promise<number> {
  const again = {
    state: 'pending',
    operation: null,
    failureType: null,
    reason: null,
    startedAt: null,
    endedAt: null,
  } as const;
  const of = trx.updateTable('batchItems').set(again).where('batch', '=', batch);
  const bad = of.where('phase', '=', 'item').where('state', 'in', ['failed', 'cancelled', 'skipped']);
  const { numUpdatedRows } = await bad.executeTakeFirst();
  if (numUpdatedRows > 0n) await of.where('phase', '<>', 'item').where('state', '<>', 'running').execute();
  return Number(numUpdatedRows);
}

/** The batch that waits for this operation's end, if one does: whoever ends it sends word. */
export async function waitingFor(db: Db, operation: string): Promise<string[]> {
  const rows = await db.selectFrom('batchItems').select('batch').where('operation', '=', operation).execute();
  return rows.map(({ batch }) => batch);
}

type Change = Partial<Pick<Item, 'state' | 'operation' | 'failureType' | 'reason' | 'startedAt' | 'endedAt'>>;

/** Writes what has changed of it. */
export async function change(trx: Trx, { batch, phase, ordinal }: Item, values: Change): Promise<void> {
  const one = trx.updateTable('batchItems').set(values).where('batch', '=', batch);
  await one.where('phase', '=', phase).where('ordinal', '=', ordinal).execute();
}

/** What an item's input is sealed for. */
export function context(item: Pick<Item, 'batch' | 'phase' | 'ordinal'>): string {
  return `batch/${item.batch}/${keyOf(item)}`;
}
