import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { BackupKind, BackupState, BackupsTable, SnapshotsTable } from './schema.js';

/** All snapshots of one operation. */
export interface Backup extends Omit<Selectable<BackupsTable>, 'state'> {
  /** `deleting`: its removal was begun, and is never taken back. */
  state: BackupState | 'deleting';
}
export type Snapshot = Selectable<SnapshotsTable>;

export interface NewBackup {
  id: string;
  operation: string;
  site: string;
  repository: string;
  kind: BackupKind;
  tag: string;
  retentionDays: number | null;
}

/** What a backup came to. `reason`: of a partial one what is missing. */
export interface Finished {
  state: 'partial' | 'completed';
  bytes: number;
  newBytes: number;
  files: number;
  manifestSha256: string;
  apartSeconds: number | null;
  reason?: string;
}

/** From where each state is reached. What was deleted is gone, and what failed never becomes good. */
const FROM: Record<Exclude<BackupState, 'creating'>, readonly BackupState[]> = {
  partial: ['creating'],
  completed: ['creating'],
  verified: ['completed', 'verified'],
  failed: ['creating'],
  deleted: ['partial', 'completed', 'verified', 'failed'],
};

/**
 * A backup is being made. The same operation again gets the one it has.
 * @throws NotFound the repository is not the site's
 */
export async function begin(trx: Trx, backup: NewBackup): Promise<Backup> {
  const held = await ofOperation(trx, backup.operation);
  if (held) return held;
  const repository = trx.selectFrom('repositories').select('id').where('id', '=', backup.repository);
  if (!(await repository.where('site', '=', backup.site).executeTakeFirst())) {
    throw failure('NotFound', `Site ${backup.site} has no repository ${backup.repository}`);
  }
  await trx
    .insertInto('backups')
    .values({ ...backup, state: 'creating', startedAt: now() })
    .execute();
  return await byId(trx, backup.id);
}

/** A snapshot that restic made for it. The same again changes nothing. @throws Conflict it has another one of that role */
export async function addSnapshot(trx: Trx, snapshot: Snapshot): Promise<void> {
  const { backup, role, id } = snapshot;
  const held = (await snapshotsOf(trx, backup)).find((one) => one.role === role);
  if (held?.id === id) return;
  if (held) throw failure('Conflict', `Backup ${backup} has a snapshot of its ${role} already: ${held.id}`);
  await trx.insertInto('snapshots').values(snapshot).execute();
}

/** It was read back. Only now it counts. @throws Conflict it is over already */
export async function finish(trx: Trx, id: string, { state, ...came }: Finished): Promise<void> {
  await change(trx, id, state, { ...came, finishedAt: now() });
}

/** It was restored into a scratch place, and compared. @throws Conflict it is not complete */
export async function markVerified(trx: Trx, id: string): Promise<void> {
  await change(trx, id, 'verified', { verifiedAt: now(), verifyFailedAt: null, verifyFailure: null });
}

/** It was found not to restore: what an earlier verification said of it holds no more. It may yet be verified again. */
export async function refute(trx: Trx, id: string, why: string): Promise<void> {
  await trx
    .updateTable('backups')
    .set({ state: 'completed', verifiedAt: null, verifyFailedAt: now(), verifyFailure: why.slice(0, 2000) })
    .where('id', '=', id)
    .where('state', 'in', FROM.verified)
    .execute();
}

/** It came to nothing. That it is recorded so already is no error. */
export async function fail(trx: Trx, id: string, reason: string): Promise<void> {
  if ((await byId(trx, id)).state === 'failed') return;
  await change(trx, id, 'failed', { finishedAt: now(), reason });
}

/** In the transaction that ends its operation otherwise than well: what it was making is not going to be good. */
export async function giveUp(trx: Trx, operation: string, reason: string): Promise<void> {
  const held = await ofOperation(trx, operation);
  if (held?.state === 'creating') await fail(trx, held.id, reason);
}

/**
 * An operation reads it, or is going to: until that has an outcome the backup is not removed.
 * @throws Conflict its removal was begun; NotFound
 */
export async function use(trx: Trx, id: string, operation: string): Promise<void> {
  // Whoever removes it locks it, too, before looking who uses it.
  await trx.selectFrom('backups').select('id').where('id', '=', id).forUpdate().execute();
  const { state } = await byId(trx, id);
  if (state === 'deleting' || state === 'deleted') {
    throw failure('Conflict', `Backup ${id} is ${state === 'deleted' ? 'deleted' : 'being deleted'}`, {
      next: 'chom backup list DOMAIN',
    });
  }
  const using = trx.insertInto('backupUses').values({ backup: id, operation });
  await using.onConflict((conflict) => conflict.doNothing()).execute();
}

/** Its removal begins, by that operation. One that another began goes on. */
export async function beginRemoval(trx: Trx, id: string, operation: string): Promise<void> {
  await trx.updateTable('backups').set({ removedBy: operation }).where('id', '=', id).execute();
}

/** What an operation removes, or has removed; the newest first. */
export async function removedBy(db: Db, operation: string): Promise<Backup[]> {
  const query = db.selectFrom('backups').selectAll().where('removedBy', '=', operation);
  return (await query.orderBy('startedAt', 'desc').orderBy('id').execute()).map(shown);
}

/** Its snapshots are gone from the repository. That it is recorded so already is no error. */
export async function markDeleted(trx: Trx, id: string, reason: string): Promise<void> {
  if ((await byId(trx, id)).state === 'deleted') return;
  await change(trx, id, 'deleted', { reason });
}

/** @throws NotFound also when it is another tenant's */
export async function byId(db: Db, id: string, filter: { tenant?: string } = {}): Promise<Backup> {
  let query = db.selectFrom('backups').innerJoin('sites', 'sites.id', 'backups.site').selectAll('backups');
  if (filter.tenant !== undefined) query = query.where('sites.tenant', '=', filter.tenant);
  const row = await query.where('backups.id', '=', id).executeTakeFirst();
  if (!row) throw failure('NotFound', `There is no backup ${id}`, { next: 'chom backup list' });
  return shown(row);
}

/** Null when that operation made none. */
export async function ofOperation(db: Db, operation: string): Promise<Backup | null> {
  const row = await db.selectFrom('backups').selectAll().where('operation', '=', operation).executeTakeFirst();
  return row ? shown(row) : null;
}

/** By role: database, files, manifest. */
export async function snapshotsOf(db: Db, backup: string): Promise<Snapshot[]> {
  return await db.selectFrom('snapshots').selectAll().where('backup', '=', backup).orderBy('role').execute();
}

export interface BackupFilter {
  tenant?: string;
  server?: string;
  site?: string;
  repository?: string;
  /** One that is being removed is in none of them. */
  states?: readonly BackupState[];
}

/** The newest first, with the site's domain and server. */
export async function list(
  db: Db,
  filter: BackupFilter = {},
): Promise<(Backup & { domain: string; server: string })[]> {
  const { tenant, server, site, repository, states } = filter;
  let query = db
    .selectFrom('backups')
    .innerJoin('sites', 'sites.id', 'backups.site')
    .selectAll('backups')
    .select(['sites.domain', 'sites.server']);
  if (tenant !== undefined) query = query.where('sites.tenant', '=', tenant);
  if (server !== undefined) query = query.where('sites.server', '=', server);
  if (site !== undefined) query = query.where('backups.site', '=', site);
  if (repository !== undefined) query = query.where('backups.repository', '=', repository);
  if (states !== undefined) {
    query = query
      .where('backups.state', 'in', states)
      .where((row) => row.or([row('removedBy', 'is', null), row('backups.state', '=', 'deleted')]));
  }
  return (await query.orderBy('backups.startedAt', 'desc').orderBy('backups.id').execute()).map(shown);
}

/** A row as it is seen. */
export function shown<Row extends Selectable<BackupsTable>>(row: Row): Omit<Row, 'state'> & Pick<Backup, 'state'> {
  return { ...row, state: row.removedBy !== null && row.state !== 'deleted' ? 'deleting' : row.state };
}

type Change = Partial<Omit<Backup, 'id' | 'state'>>;

/** Compare-and-set, so that of two who decide one finds that it is over. */
async function change(trx: Trx, id: string, state: keyof typeof FROM, values: Change): Promise<void> {
  const { numUpdatedRows } = await trx
    .updateTable('backups')
    .set({ ...values, state })
    .where('id', '=', id)
    .where('state', 'in', FROM[state])
    .$if(state !== 'deleted', (query) => query.where('removedBy', 'is', null))
    .executeTakeFirst();
  if (numUpdatedRows > 0n) return;
  const held = await byId(trx, id);
  throw failure('Conflict', `Backup ${id} is ${held.state} and cannot become ${state}`);
}
