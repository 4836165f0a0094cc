import { failure } from '../workflows/failures.js';
import * as backups from './backups.js';
import type { Db } from './database.js';
import { expectLive, serverOf } from './in-service.js';
import type { Site } from './sites.js';

/** What is to be restored from a backup. */
export interface Wanted {
  tenant: string;
  /** Its id. */
  backup: string;
  files: boolean;
  /** The content of the database. */
  dump: boolean;
  /** A backup that lacks something will do. */
  partial: boolean;
}

/**
 * Whether a backup can be restored into a site, by what is on record. Returns what the operator should know.
 * @throws NotFound no such backup, or site or server are gone; Conflict; InvalidInput
 */
export async function expectRestorable(db: Db, wanted: Wanted, site: Site): Promise<string[]> {
  const backup = await backups.byId(db, wanted.backup, wanted);
  const { id, state, reason } = backup;
  await expectInService(db, site, id);
  const roles = (await backups.snapshotsOf(db, id)).map(({ role }) => role);
  for (const role of [wanted.files && 'files', wanted.dump && 'database'] as const) {
    if (role === false || roles.includes(role)) continue;
    throw failure('InvalidInput', `Backup ${id} holds no ${role}`, { next: `chom backup show ${id}` });
  }
  if (wanted.dump && site.databaseName === null) {
    throw failure('InvalidInput', `Site ${site.domain} has no database`, { next: 'restore the files alone: --files' });
  }
  if (state === 'completed' || state === 'verified') return [];
  if (state === 'partial' && wanted.partial) return [`The backup is partial: ${reason ?? 'it lacks something'}`];
  throw failure('Conflict', `Backup ${id} is ${state}`, {
    cause: reason ?? 'It does not count as a backup',
    next: state === 'partial' ? 'add --partial to restore what there is' : 'chom backup list',
  });
}

/** A site that is live on a server, for that backup. @throws NotFound it is gone, or its server; Conflict it is not live yet */
export async function expectInService(db: Db, site: Site, backup: string): Promise<void> {
  const { domain, status } = site;
  const cause = 'A backup is restored into a site that is live';
  const next = `chom site create ${domain} --server NAME, then: chom backup restore ${backup} --to ${domain}`;
  await serverOf(db, site, { next });
  if (status === 'removed' || status === 'failed') {
    throw failure('NotFound', `Site ${domain} is gone: it is ${status}`, { cause, next });
  }
  if (status === 'suspended')
    throw failure('Conflict', `Site ${domain} is suspended`, { cause, next: `chom site resume ${domain}` });
  expectLive(site, cause);
}
