import { failure } from '../workflows/failures.js';
import type { Backup } from './backups.js';
import * as backups from './backups.js';
import type { Db, Trx } from './database.js';
import type { RecordedBackup } from './repository-alarm.js';
import { keep, type Verdict } from './retention.js';
import * as retentions from './retentions.js';

/** A backup with all that decides over it. */
export type JudgedBackup = Backup & RecordedBackup;

/** Those of a repository, deleted ones too, with their snapshots and what uses them. */
export async function recordsOf(db: Db, repository: string): Promise<JudgedBackup[]> {
  const [all, snapshots, uses, undoable] = await Promise.all([
    db.selectFrom('backups').selectAll().where('repository', '=', repository).execute(),
    db
      .selectFrom('snapshots')
      .innerJoin('backups', 'backups.id', 'snapshots.backup')
      .select(['snapshots.id', 'snapshots.backup'])
      .where('backups.repository', '=', repository)
      .execute(),
    db
      .selectFrom('backupUses')
      .innerJoin('backups', 'backups.id', 'backupUses.backup')
      .innerJoin('operations', 'operations.id', 'backupUses.operation')
      .select(['backupUses.backup', 'backupUses.operation'])
      .where('backups.repository', '=', repository)
      .where('operations.outcome', 'is', null)
      .orderBy('backupUses.operation')
      .execute(),
    // The end of an undo window removes what was there before, which must then still be in its backup.
    db
      .selectFrom('restores')
      .innerJoin('backups', 'backups.id', 'restores.safety')
      .select(['backups.id as backup', 'restores.operation'])
      .where('backups.repository', '=', repository)
      .where('restores.state', '=', 'restored')
      .execute(),
  ]);
  const ids = new Map(all.map(({ id }): [string, string[]] => [id, []]));
  for (const { id, backup } of snapshots) ids.get(backup)?.push(id);
  const neededBy = new Map([...undoable, ...uses].map(({ backup, operation }) => [backup, operation]));
  return all.map((row) => ({
    ...backups.shown(row),
    snapshots: ids.get(row.id) ?? [],
    neededBy: neededBy.get(row.id) ?? null,
  }));
}

/** What the policy of a site says of its backups in one repository, the newest first. `now` in milliseconds. */
export async function judge(
  db: Db,
  { site, repository, now }: { site: string; repository: string; now: number },
): Promise<Verdict<JudgedBackup>[]> {
  const { policy, timezone, siteDeletedAt } = await retentions.ofSite(db, site);
  return keep(await recordsOf(db, repository), policy, { now, timezone, siteDeletedAt });
}

/** Whose removal is wanted, and by whom. */
export interface Removal {
  operation: string;
  site: string;
  repository: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/**
 * Marks what the policy removes, in the same transaction in which that was decided: whoever wants to use one of them
 * afterwards is refused, and what is used already stays. Of what is confirmed, where somebody did, nothing else goes; what
 * another operation began to remove goes anyway. Returns everything that the operation is to remove.
 */
export async function condemn(
  trx: Trx,
  { confirmed, ...removal }: Removal & { confirmed: readonly string[] | null },
): Promise<JudgedBackup[]> {
  await lock(trx, removal.repository);
  const verdicts = await judge(trx, removal);
  const going = verdicts
    .filter(({ backup, keep: kept }) => {
      return !kept && (confirmed === null || backup.state === 'deleting' || confirmed.includes(backup.id));
    })
    .map(({ backup }) => backup);
  for (const { id } of going) await backups.beginRemoval(trx, id, removal.operation);
  return going;
}

/**
 * Marks all backups of a deleted site in a repository.
 * @throws Conflict the site exists, or one of them is at use
 */
export async function condemnAll(trx: Trx, { operation, site, repository }: Removal): Promise<JudgedBackup[]> {
  const { status, domain } = await trx
    .selectFrom('sites')
    .select(['status', 'domain'])
    .where('id', '=', site)
    .executeTakeFirstOrThrow();
  if (status !== 'removed') {
    throw failure('Conflict', `Site ${domain} is ${status}: its backups are not purged`, {
      cause: 'only those of a deleted site are',
      next: `chom backup clean ${domain}`,
    });
  }
  await lock(trx, repository);
  const held = (await recordsOf(trx, repository)).filter(({ state }) => state !== 'deleted');
  const used = held.find(({ state, neededBy }) => state === 'creating' || (neededBy ?? null) !== null);
  if (used) {
    const by = used.neededBy ?? used.operation;
    throw failure('Conflict', `Backup ${used.id} is at use`, { holder: by, next: `chom op show ${by}` });
  }
  for (const { id } of held) await backups.beginRemoval(trx, id, operation);
  return held;
}

/** Whether a deleted site has no backup in a repository any more: nobody has a use for its login then. */
export async function isSpent(db: Db, { site, repository }: Pick<Removal, 'site' | 'repository'>): Promise<boolean> {
  const { status } = await db.selectFrom('sites').select('status').where('id', '=', site).executeTakeFirstOrThrow();
  if (status !== 'removed') return false;
  const held = db.selectFrom('backups').select('id').where('repository', '=', repository);
  return (await held.where('state', '<>', 'deleted').executeTakeFirst()) === undefined;
}

/** Their snapshots were seen to be gone. */
export async function recordRemoved(trx: Trx, gone: readonly JudgedBackup[], why: string): Promise<void> {
  for (const { id, reason } of gone) {
    // Why one failed, or what it lacked, stays on record.
    await backups.markDeleted(trx, id, reason === null ? why : `${why}; before that: ${reason}`);
  }
}

async function lock(trx: Trx, repository: string): Promise<void> {
  await trx.selectFrom('backups').select('id').where('repository', '=', repository).orderBy('id').forUpdate().execute();
}
