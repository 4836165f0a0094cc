import type { Selectable } from 'kysely';
import type { Db, Trx } from './database.js';
import type { ObligationsTable } from './schema.js';

/** Something an operation still owes, at a due time. */
export interface Obligation extends Omit<Selectable<ObligationsTable>, 'targets'> {
  /** What exactly it is about, for example a key's fingerprint; never looked up again when it is due. */
  targets: Record<string, unknown>;
}

export interface NewObligation {
  operation: string;
  name: string;
  targets: Record<string, unknown>;
  /** ISO-8601 UTC. */
  due: string;
}

/** The same operation and name again changes nothing. */
export async function add(trx: Trx, obligation: NewObligation): Promise<void> {
  await trx
    .insertInto('obligations')
    .values({ ...obligation, targets: JSON.stringify(obligation.targets), state: 'open' })
    .onConflict((conflict) => conflict.columns(['operation', 'name']).doNothing())
    .execute();
}

/** Closes an open one; returns whether it was open. */
export async function close(
  trx: Trx,
  key: { operation: string; name: string },
  state: 'done' | 'void',
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('obligations')
    .set({ state })
    .where('operation', '=', key.operation)
    .where('name', '=', key.name)
    .where('state', '=', 'open')
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Open ones whose time has come, the longest due first. `at` is ISO-8601 UTC. */
export async function due(db: Db, at: string): Promise<Obligation[]> {
  const open = db.selectFrom('obligations').selectAll().where('state', '=', 'open').where('due', '<=', at);
  return (await open.orderBy('due').orderBy('operation').orderBy('name').execute()).map(fromRow);
}

export async function ofOperation(db: Db, operation: string): Promise<Obligation[]> {
  const all = db.selectFrom('obligations').selectAll().where('operation', '=', operation);
  return (await all.orderBy('due').orderBy('name').execute()).map(fromRow);
}

function fromRow(row: Selectable<ObligationsTable>): Obligation {
  return { ...row, targets: JSON.parse(row.targets) as Record<string, unknown> };
}
