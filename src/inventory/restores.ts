import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { RestoresTable, RestoreState } from './schema.js';

/** A backup that was put in the place of what was there. */
export interface Restore extends Omit<Selectable<RestoresTable>, 'files' | 'database'> {
  files: boolean;
  database: boolean;
}

export interface NewRestore {
  operation: string;
  backup: string;
  site: string;
  files: boolean;
  database: boolean;
  path: string | null;
}

/** What a restore came to. */
export interface Restored {
  databaseCharset: string | null;
  databaseCollation: string | null;
  /** Id of the backup of what was there before. */
  safety: string | null;
  /** ISO-8601 UTC. */
  undoUntil: string;
}

/** A restore is at work. The same operation again changes nothing. @throws Conflict another one is at work on the site */
export async function begin(trx: Trx, { files, database, ...restore }: NewRestore): Promise<void> {
  await close(trx, restore.site, restore.operation);
  await trx
    .insertInto('restores')
    .values({ ...restore, files: files ? 1 : 0, database: database ? 1 : 0, state: 'restoring', beganAt: now() })
    .onConflict((conflict) => conflict.column('operation').doNothing())
    .execute();
}

/**
 * An operation is about to exchange what a site is: from here until that ends its status is `restoring`, whatever is
 * beneath. @throws Conflict another one is at it
 */
export async function close(trx: Trx, site: string, operation: string): Promise<void> {
  const { numUpdatedRows } = await trx
    .updateTable('sites')
    .set({ restoring: operation, updatedAt: now() })
    .where('id', '=', site)
    .where((row) => row.or([row('restoring', 'is', null), row('restoring', '=', operation)]))
    .executeTakeFirst();
  if (numUpdatedRows > 0n) return;
  throw failure('Conflict', `Another operation restores into site ${site}`, { next: 'chom op list' });
}

/**
 * In the transaction that ends an operation, however it ends: the site has the status again that it had before. Nothing
 * for one that restored nothing.
 */
export async function settle(trx: Trx, operation: string): Promise<void> {
  await trx
    .updateTable('sites')
    .set({ restoring: null, updatedAt: now() })
    .where('restoring', '=', operation)
    .execute();
  await trx
    .updateTable('restores')
    .set({ state: 'failed' })
    .where('operation', '=', operation)
    .where('state', '=', 'restoring')
    .execute();
}

/** It is live, and can be undone for a while. The same again changes nothing. @throws Conflict it is over */
export async function finish(trx: Trx, operation: string, came: Restored): Promise<void> {
  if ((await byOperation(trx, operation)).state === 'restored') return;
  await change(trx, operation, ['restoring'], { ...came, state: 'restored', restoredAt: now() });
}

/** What was there before is live again. The same again changes nothing. @throws Conflict there is nothing to undo */
export async function markUndone(trx: Trx, operation: string): Promise<void> {
  if ((await byOperation(trx, operation)).state === 'undone') return;
  await change(trx, operation, ['restored'], { state: 'undone' });
}

/** What lay beside the site is gone. The same again changes nothing. @throws Conflict it is at work */
export async function end(trx: Trx, operation: string): Promise<void> {
  const { state } = await byOperation(trx, operation);
  if (state === 'ended' || state === 'failed') return;
  // That it was undone stays on record.
  const values = state === 'undone' ? {} : { state: 'ended' as const };
  await change(trx, operation, ['undone', 'restored'], { ...values, undoUntil: now() });
}

/** @throws NotFound also when it is another tenant's */
export async function byOperation(db: Db, operation: string, filter: { tenant?: string } = {}): Promise<Restore> {
  let query = db.selectFrom('restores').innerJoin('sites', 'sites.id', 'restores.site').selectAll('restores');
  if (filter.tenant !== undefined) query = query.where('sites.tenant', '=', filter.tenant);
  const row = await query.where('restores.operation', '=', operation).executeTakeFirst();
  if (!row) throw failure('NotFound', `Operation ${operation} restored nothing`, { next: 'chom op list' });
  return fromRow(row);
}

/** Of a site, or from a backup; the latest first. */
export async function list(
  db: Db,
  filter: { site?: string; backup?: string; states?: readonly RestoreState[] },
): Promise<Restore[]> {
  let query = db.selectFrom('restores').selectAll();
  if (filter.site !== undefined) query = query.where('site', '=', filter.site);
  if (filter.backup !== undefined) query = query.where('backup', '=', filter.backup);
  if (filter.states !== undefined) query = query.where('state', 'in', filter.states);
  return (await query.orderBy('beganAt', 'desc').orderBy('operation').execute()).map(fromRow);
}

/**
 * Whether a restore can be undone now: only the latest, for what an earlier one put beside has its place in that one.
 * @throws Conflict it cannot, naming why
 */
export async function expectUndoable(db: Db, restore: Restore): Promise<void> {
  const { operation, state, site } = restore;
  if (state !== 'restored') {
    throw failure('Conflict', `What ${operation} restored cannot be undone: it is ${WHY[state]}`, {
      next: `chom op show ${operation}`,
    });
  }
  const since = (await list(db, { site, states: ['restored', 'ended'] })).filter(
    (one) => (one.restoredAt ?? '') > (restore.restoredAt ?? '') && overlap(one, restore),
  );
  const [later] = since;
  if (!later) return;
  const undoable = later.state === 'restored';
  throw failure('Conflict', `${operation} was followed by another restore, ${later.operation}`, {
    cause: undoable ? 'Restores are undone one after the other, the latest first' : 'That one can be undone no more',
    next: undoable ? `chom backup undo-restore ${later.operation}` : `chom backup list`,
  });
}

const WHY: Record<Exclude<RestoreState, 'restored'>, string> = {
  restoring: 'not done yet',
  undone: 'undone already',
  failed: 'taken back: it failed',
  ended: 'over, and what was there before is gone',
};

function overlap(one: Restore, other: Restore): boolean {
  return (one.files && other.files) || (one.database && other.database);
}

async function change(
  trx: Trx,
  operation: string,
  from: readonly RestoreState[],
  values: Partial<Pick<RestoresTable, 'state' | 'restoredAt'> & Restored>,
): Promise<void> {
  const { numUpdatedRows } = await trx
    .updateTable('restores')
    .set(values)
    .where('operation', '=', operation)
    .where('state', 'in', from)
    .executeTakeFirst();
  if (numUpdatedRows > 0n) return;
  const { state } = await byOperation(trx, operation);
  throw failure('Conflict', `What ${operation} restored is ${state}`, { next: `chom op show ${operation}` });
}

function fromRow(row: Selectable<RestoresTable>): Restore {
  return { ...row, files: row.files === 1, database: row.database === 1 };
}
