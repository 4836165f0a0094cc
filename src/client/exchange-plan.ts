import * as servers from '../inventory/servers.js';
import type { Site } from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { type BackupKind, backupPlan } from '../workflows/backup-plan.js';
import type { ExchangePlan } from '../workflows/restore-plan.js';
import type { Chom } from './open.js';
import { namedSite, recordedSite } from './site-plan.js';
import { randomId } from './submit.js';

/** What of a site is to be exchanged. */
export interface Exchanged {
  files: boolean;
  /** The content of the database. */
  dump: boolean;
  path: string | null;
  /** Id of the storage to which the backup of what is there goes; null: none is made. */
  safetyInto: string | null;
}

/** A site, and the backup that is made of it before it is exchanged. */
export async function exchangePlan(
  { inventory: { db } }: Chom,
  site: Site,
  { safetyInto, ...what }: Exchanged,
): Promise<Omit<ExchangePlan, 'php'> & { php: string | null }> {
  const server = await servers.byId(db, site.server);
  const plan = { ...recordedSite(site, server), ...what };
  if (safetyInto === null) return { ...plan, safety: null };
  const { name: storageName } = await storages.byId(db, safetyInto);
  const made = {
    backup: `b${randomId(9)}`,
    kind: kindOf(what, plan.database),
    tag: 'pre-restore',
    retentionDays: null,
  };
  return {
    ...plan,
    safety: backupPlan.parse({ ...namedSite(site, server), ...made, storage: safetyInto, storageName }),
  };
}

/** What is exchanged is backed up. */
function kindOf({ files, dump }: Pick<Exchanged, 'files' | 'dump'>, database: boolean): BackupKind {
  if (!files) return 'database';
  return dump || !database ? 'full' : 'files';
}
