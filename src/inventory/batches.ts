import type { Selectable } from 'kysely';
import { batchRules, type BatchRules } from '../workflows/batch-plan.js';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { BatchesTable, BatchKind, Priority } from './schema.js';

/** Many operations that were asked for as one; a chain is a batch of one at a time. */
export interface Batch extends Omit<Selectable<BatchesTable>, 'rules' | 'approved'> {
  rules: BatchRules;
  approved: boolean;
}

export interface NewBatch {
  id: string;
  kind: BatchKind;
  name: string;
  tenant: string;
  rules: BatchRules;
  priority: Priority;
  taskQueue: string;
  cluster: string;
  namespace: string;
  /** ISO-8601 UTC: not before that. */
  startsAt?: string;
}

/** The Temporal of batches whose own one is lost, until somebody has them go on. */
export const LOST_CLUSTER = 'lost';

/** Writes it down; its items follow in the same transaction. @throws Conflict one of that name is at work */
export async function add(trx: Trx, { rules, startsAt, ...batch }: NewBatch): Promise<void> {
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('batches')
    .values({
      ...{ ...batch, rules: JSON.stringify(rules), state: 'running', round: 1, approved: 0, forgiven: 0, pauses: 0 },
      ...{
        outcome: null,
        startsAt: startsAt ?? null,
        canaryUntil: null,
        pausedBy: null,
        reason: null,
        askedAt: now(),
        endedAt: null,
      },
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 1n) return;
  throw nameTaken(batch.name);
}

/** Another one of that name is at work. */
export function nameTaken(name: string) {
  return failure('Conflict', `A batch called ${name} is at work already`, {
    cause: 'of one name one is at work, so that nothing is done twice',
    next: `chom batch watch ${name}`,
  });
}

/** @throws NotFound also when it is another tenant's */
export async function byId(db: Db, id: string, filter: { tenant?: string } = {}): Promise<Batch> {
  const row = await db.selectFrom('batches').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row || (filter.tenant !== undefined && row.tenant !== filter.tenant)) throw unknown(id);
  return fromRow(row);
}

/** By its id, or the newest of that name. @throws NotFound also when it is another tenant's */
export async function find(db: Db, tenant: string, nameOrId: string): Promise<Batch> {
  const ours = db.selectFrom('batches').selectAll().where('tenant', '=', tenant);
  const named = ours.where((row) => row.or([row('name', '=', nameOrId), row('id', '=', nameOrId)]));
  const row = await named.orderBy('askedAt', 'desc').orderBy('id').limit(1).executeTakeFirst();
  if (!row) throw unknown(nameOrId);
  return fromRow(row);
}

/** Newest first. `limit`: 100 unless said. */
export async function list(
  db: Db,
  { tenant, name, atWork, limit = 100 }: { tenant?: string; name?: string; atWork?: true; limit?: number } = {},
): Promise<Batch[]> {
  let query = db.selectFrom('batches').selectAll();
  if (tenant !== undefined) query = query.where('tenant', '=', tenant);
  if (name !== undefined) query = query.where('name', '=', name);
  if (atWork) query = query.where('state', '<>', 'ended');
  return (await query.orderBy('askedAt', 'desc').orderBy('id').limit(limit).execute()).map(fromRow);
}

/** The same row, locked until the transaction ends. @throws NotFound as `byId` */
export async function lock(trx: Trx, id: string, filter: { tenant?: string } = {}): Promise<Batch> {
  const row = await trx.selectFrom('batches').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!row || (filter.tenant !== undefined && row.tenant !== filter.tenant)) throw unknown(id);
  return fromRow(row);
}

type Change = Partial<Omit<BatchesTable, 'id' | 'kind' | 'name' | 'tenant' | 'rules' | 'askedAt'>>;

/** Writes what has changed of it. */
export async function change(trx: Trx, id: string, values: Change): Promise<void> {
  await trx.updateTable('batches').set(values).where('id', '=', id).execute();
}

/** In a copy of the inventory that was restored: what was at work waits for somebody to look. Returns their ids. */
export async function endLost(trx: Trx): Promise<string[]> {
  const open = await trx.selectFrom('batches').select('id').where('state', '<>', 'ended').execute();
  const reason = 'The controller was lost, and what became of it afterwards is not in the copy of the inventory';
  await trx
    .updateTable('batches')
    .set({ state: 'paused', pausedBy: 'restored', reason, cluster: LOST_CLUSTER, namespace: LOST_CLUSTER })
    .where('state', '<>', 'ended')
    .execute();
  return open.map(({ id }) => id);
}

function unknown(which: string) {
  return failure('NotFound', `There is no batch ${which}`, { next: 'chom batch list' });
}

function fromRow(row: Selectable<BatchesTable>): Batch {
  return { ...row, rules: batchRules.parse(JSON.parse(row.rules)), approved: row.approved === 1 };
}
