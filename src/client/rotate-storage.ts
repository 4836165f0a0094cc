import * as repositories from '../inventory/repositories.js';
import * as rotation from '../inventory/repository-rotation.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { storageRotationPlan } from '../workflows/storage-rotation-plan.js';
import { askForSite, type Asking } from './ask-for.js';
import { parseDomain } from './domain.js';
import { parseStorageName } from './names.js';
import type { Chom } from './open.js';

/** Whose repositories are to be changed over. */
export interface StorageRotation extends Asking {
  storage: string;
  /** Its domain; unless said, every site in service or suspended that has one there. */
  site?: string;
}

/** The sites whose repositories would be changed over, by domain. @throws InvalidInput; NotFound; Conflict nothing can be removed there */
export async function rotatableSites(
  { inventory: { db }, tenant }: Chom,
  wanted: Pick<StorageRotation, 'storage' | 'site'>,
): Promise<{ site: string; domain: string }[]> {
  const storage = await storages.byName(db, tenant, parseStorageName(wanted.storage));
  refuseUnkept(storage);
  const domain = wanted.site === undefined ? null : parseDomain(wanted.site);
  const all = await repositories.ofTenant(db, tenant, { storage: storage.id });
  const found: { site: string; domain: string }[] = [];
  for (const one of all) {
    const site = await sites.byId(db, one.site);
    if (sites.isSettled(site) && (domain === null || domain === site.domain))
      found.push({ site: site.id, domain: site.domain });
  }
  if (found.length > 0 || domain === null) return found;
  throw failure('NotFound', `Site ${domain} has no repository in storage ${storage.name}, or is not live`, {
    next: `chom storage show ${storage.name}`,
  });
}

/**
 * Asks for the repository of one site to be given another password and, where sites have logins of their own, another login.
 * One whose old password nobody was going to remove any more is owed that again, and refused until it is done. Returns the operation's
 * id. @throws as `rotatableSites`; Busy; TemporalUnavailable
 */
export async function rotateStorage(chom: Chom, wanted: StorageRotation & { site: string }): Promise<string> {
  const { inventory, tenant } = chom;
  const { db } = inventory;
  const [found] = await rotatableSites(chom, wanted);
  const storage = await storages.byName(db, tenant, wanted.storage);
  const site = await sites.byId(db, found?.site ?? '');
  const { id: server, name: serverName } = await servers.byId(db, site.server);
  const { domain } = site;
  const plan = storageRotationPlan.parse({
    ...{ site: site.id, tenant, server, serverName, domain },
    ...{ repository: repositories.repositoryId(storage.id, site.id), storage: storage.id, storageName: storage.name },
  });
  await inventory.transaction(async (trx) => await rotation.oweOldAgain(trx, plan, new Date().toISOString()));
  const summary = `Change what opens the backups of ${domain} in ${storage.name}`;
  const { wait = true, operation } = wanted;
  return await askForSite(chom, { kind: 'rotate-storage-credentials', plan, summary, wait, operation });
}

/** Where CHOM may not delete, an old password would open it for ever. */
function refuseUnkept({ name, kind, maintainServer, maintainUrl }: storages.Storage): void {
  if (maintainServer !== null || maintainUrl !== null || kind === 'local') return;
  throw failure('Conflict', `The old passwords could not be removed from storage ${name}`, {
    cause: 'neither is an enrolled server named that keeps its files, nor has CHOM a login that may delete there',
    next: `chom storage set ${name} --maintain SERVER:/path, or --maintain controller`,
  });
}
