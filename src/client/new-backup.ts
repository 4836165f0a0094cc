import type { Db } from '../inventory/database.js';
import { expectLive, serverOf } from '../inventory/in-service.js';
import type { Site } from '../inventory/sites.js';
import * as sites from '../inventory/sites.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import {
  BACKUP_KINDS,
  backupPlan,
  backupTag,
  MOST_RETENTION_DAYS,
  type BackupKind,
  type BackupPlan,
} from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { type Asking, askForSite } from './ask-for.js';
import { parseDomain } from './domain.js';
import type { Chom } from './open.js';
import { namedSite, recordedSite } from './site-plan.js';
import { randomId } from './submit.js';
import { quoted } from './text.js';

/** A backup as it is wanted, in the operator's words. */
export interface NewBackup extends Asking {
  /** Domain or alias of a live site. */
  domain: string;
  /** `full` unless said: files, and the database where the site has one. */
  kind?: string;
  /** Name of the storage; the only one that there is unless said. */
  storage?: string;
  /** What it is made for; `manual` unless said. */
  tag?: string;
  /** Kept for at least so many days, whatever the policy says. */
  retentionDays?: number;
  /** The site is closed meanwhile, so that files and database are of one moment. */
  maintenance?: boolean;
}

interface Checked {
  domain: string;
  kind: BackupKind;
  tag: string;
  retentionDays: number | null;
}

/**
 * Asks for a backup of a live site. Everything that can be known beforehand is checked before anything is written.
 * @throws InvalidInput; NotFound no such site, server or storage; Conflict the site is not live; Busy; TemporalUnavailable
 */
export async function createBackup(chom: Chom, wanted: NewBackup): Promise<{ operation: string; plan: BackupPlan }> {
  const { domain, kind, tag, retentionDays } = checkNewBackup(wanted);
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, domain, { tenant });
  refuseUnready(site, kind);
  const server = await serverOf(inventory.db, site);
  const storage = await storageFor(inventory.db, tenant, wanted.storage);
  const plan = backupPlan.parse({
    ...{ ...namedSite(site, server), backup: `b${randomId(9)}` },
    ...{ kind, tag, retentionDays, storage: storage.id, storageName: storage.name },
    ...(wanted.maintenance && { maintenance: recordedSite(site, server) }),
  });
  const summary = `Back up ${site.domain} on ${server.name}`;
  const request = { kind: 'create-backup', plan, summary, wait: wanted.wait ?? true } as const;
  const operation = await askForSite(chom, { ...request, operation: wanted.operation, priority: wanted.priority });
  return { operation, plan };
}

/** What is wrong with it by itself. @throws InvalidInput */
export function checkNewBackup({ domain, kind = 'full', tag = 'manual', retentionDays }: NewBackup): Checked {
  const known = BACKUP_KINDS.find((one) => one === kind);
  if (!known) {
    throw failure('InvalidInput', `${quoted(kind)} is no kind of backup`, {
      cause: `the kinds are ${BACKUP_KINDS.join(', ')}`,
    });
  }
  if (!backupTag.safeParse(tag).success) {
    throw failure('InvalidInput', `${quoted(tag)} is no tag`, {
      cause: 'a tag has 1 to 40 lower-case letters, digits and hyphens, and neither begins nor ends with a hyphen',
    });
  }
  const days = retentionDays ?? null;
  if (days !== null && !(Number.isInteger(days) && days >= 1 && days <= MOST_RETENTION_DAYS)) {
    throw failure('InvalidInput', 'A backup is kept for a whole number of days', {
      cause: `from 1 to ${MOST_RETENTION_DAYS}`,
    });
  }
  return { domain: parseDomain(domain), kind: known, tag, retentionDays: days };
}

function refuseUnready(site: Site, kind: BackupKind): void {
  expectLive(site, 'a backup is made of a site that is live');
  if (kind !== 'database' || site.databaseName !== null) return;
  throw failure('InvalidInput', `Site ${site.domain} has no database`, { next: 'leave --database out' });
}

/** Where a backup goes: there by name, or the only one there is. @throws NotFound; InvalidInput several that it could be */
export async function storageFor(db: Db, tenant: string, name: string | undefined): Promise<Storage> {
  if (name !== undefined) return await storages.byName(db, tenant, name);
  const all = await storages.list(db, { tenant });
  const [only, another] = all;
  if (!only) {
    throw failure('NotFound', 'There is no storage for backups yet', {
      next: 'chom storage add NAME --repository sftp:USER@HOST:/path',
    });
  }
  if (!another) return only;
  throw failure('InvalidInput', 'There are several storages', {
    cause: all.map((one) => one.name).join(', '),
    next: 'say which: --storage NAME',
  });
}
