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

/** What is owed for a site or on a server, if only of one name, is owed no more; but for one. */
export async function cancel(
  trx: Trx,
  target: { site?: string; server?: string; name?: string },
  except: { operation: string; name: string } | null = null,
): Promise<void> {
  let theirs = trx.selectFrom('operations').select('id');
  if (target.site !== undefined) theirs = theirs.where('site', '=', target.site);
  if (target.server !== undefined) theirs = theirs.where('server', '=', target.server);
  let still = trx.updateTable('obligations').set({ state: 'void' }).where('state', '=', 'open');
  if (target.name !== undefined) still = still.where('name', '=', target.name);
  if (except) {
    const { operation, name } = except;
    still = still.where((row) => row.not(row.and([row('operation', '=', operation), row('name', '=', name)])));
  }
  await still.where('operation', 'in', theirs).execute();
}

/** A void one is owed again. */
export async function reopen(trx: Trx, key: { operation: string; name: string }): Promise<void> {
  await trx
    .updateTable('obligations')
    .set({ state: 'open' })
    .where('operation', '=', key.operation)
    .where('name', '=', key.name)
    .where('state', '=', 'void')
    .execute();
}

/** An open one is due at another time. `until` is ISO-8601 UTC. */
export async function postpone(trx: Trx, key: { operation: string; name: string }, until: string): Promise<void> {
  await trx
    .updateTable('obligations')
    .set({ due: until })
    .where('operation', '=', key.operation)
    .where('name', '=', key.name)
    .where('state', '=', 'open')
    .execute();
}

/** An open one is due at `at` (ISO-8601 UTC), if not before: whoever comes later takes it from nobody. */
export async function hasten(trx: Trx, key: { operation: string; name: string }, at: string): Promise<void> {
  await trx
    .updateTable('obligations')
    .set({ due: at })
    .where('operation', '=', key.operation)
    .where('name', '=', key.name)
    .where('state', '=', 'open')
    .where('due', '>', at)
    .execute();
}

/** Null when there is none. */
export async function find(db: Db, key: { operation: string; name: string }): Promise<Obligation | null> {
  const all = await ofOperation(db, key.operation);
  return all.find(({ name }) => name === key.name) ?? null;
}

/** What is still owed for a site, on a server, or by an operation and those inside it; the first due first. */
export async function stillOpen(
  db: Db,
  of: { site: string } | { server: string } | { operation: string },
): Promise<Obligation[]> {
  let query = db
    .selectFrom('obligations')
    .innerJoin('operations', 'operations.id', 'obligations.operation')
    .selectAll('obligations')
    .where('obligations.state', '=', 'open');
  if ('site' in of) query = query.where('operations.site', '=', of.site);
  else if ('server' in of) query = query.where('operations.server', '=', of.server);
  else
    query = query.where((row) => row.or([row('operations.id', '=', of.operation), row('parent', '=', of.operation)]));
  return (await query.orderBy('due').orderBy('obligations.operation').execute()).map(fromRow);
}

/** Of a name, on a server, what nobody is going to do any more. */
export async function voided(db: Db, { server, name }: { server: string; name: string }): Promise<Obligation[]> {
  const rows = db
    .selectFrom('obligations')
    .innerJoin('operations', 'operations.id', 'obligations.operation')
    .selectAll('obligations')
    .where('obligations.state', '=', 'void')
    .where('obligations.name', '=', name)
    .where('operations.server', '=', server);
  return (await rows.orderBy('obligations.operation').execute()).map(fromRow);
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
