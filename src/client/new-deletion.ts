import type { Db } from '../inventory/database.js';
import { refuseUnready } from '../inventory/deletions.js';
import { serverOf } from '../inventory/in-service.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { backupPlan } from '../workflows/backup-plan.js';
import { type DeletionPlan, deletionPlan } from '../workflows/deletion-plan.js';
import { failure } from '../workflows/failures.js';
import { type Asking, askForSite } from './ask-for.js';
import { parseDomain } from './domain.js';
import { storageFor } from './new-backup.js';
import type { Chom } from './open.js';
import { namedSite, recordedSite } from './site-plan.js';
import { storageOfNewest } from './site-storage.js';
import { randomId } from './submit.js';
import { clearNow } from './tries.js';

/** A site that is to be deleted. */
export interface Deletion extends Asking {
  /** Its domain or one of its aliases. */
  domain: string;
  /** False: without a last backup, which cannot be made later. */
  finalBackup?: boolean;
  /** Name of the storage that it goes to; unless said the one that has the site's newest backup, or the only one. */
  storage?: string;
}

/**
 * Asks for a site to be deleted, with all that is its own on its server, after a last backup that is tried out. One whose
 * deletion has taken effect and is not done is gone on with. Returns the operation, and the site as it was.
 * @throws InvalidInput; NotFound no such site or storage; Conflict the site is not in service; Busy; TemporalUnavailable
 */
export async function deleteSite(chom: Chom, wanted: Deletion): Promise<{ operation: string; site: Site }> {
  const { finalBackup = true, wait = true } = wanted;
  const site = await siteToDelete(chom, wanted.domain);
  if (site.deletedBy !== null) {
    const operation = (await clearNow(chom, site.deletedBy)) ?? site.deletedBy;
    return { operation, site };
  }
  const plan = await planDeletion(chom, site, { finalBackup, storage: wanted.storage });
  const summary = `Delete ${site.domain} from ${plan.serverName}`;
  const asked = { kind: 'delete-site', plan, summary, wait, operation: wanted.operation } as const;
  const operation = await askForSite(chom, asked);
  return { operation, site };
}

/** The site that would be deleted. @throws as `deleteSite` */
export async function siteToDelete({ tenant, inventory }: Chom, text: string): Promise<Site> {
  const site = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  if (site.status !== 'deleting') refuseUnready(site);
  return site;
}

async function planDeletion(
  { tenant, inventory: { db } }: Chom,
  site: Site,
  { finalBackup, storage: name }: { finalBackup: boolean; storage: string | undefined },
): Promise<DeletionPlan> {
  const server = await serverOf(db, site);
  const plan = recordedSite(site, server);
  if (!finalBackup) return deletionPlan.parse({ ...plan, final: null });
  const storage = await finalStorage(db, tenant, site, name);
  const into = { storage: storage.id, storageName: storage.name };
  const made = { backup: `b${randomId(9)}`, kind: 'full', tag: 'final', retentionDays: null };
  return deletionPlan.parse({ ...plan, final: backupPlan.parse({ ...namedSite(site, server), ...made, ...into }) });
}

async function finalStorage(db: Db, tenant: string, site: Site, name: string | undefined): Promise<Storage> {
  if (name === undefined) {
    const held = await storageOfNewest(db, site);
    if (held) return held;
    if ((await storages.list(db, { tenant })).length === 0) throw nowhere(site);
  }
  return await storageFor(db, tenant, name);
}

function nowhere({ domain }: Site) {
  return failure('NotFound', `There is no storage for the final backup of ${domain}`, {
    cause: 'a site is deleted after its last backup was made and tried out',
    next: `chom storage add NAME --repository …; or, if nothing of it shall be kept: chom site delete ${domain} --no-final-backup --confirm ${domain}`,
  });
}
