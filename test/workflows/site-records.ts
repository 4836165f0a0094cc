import { randomId } from '../../src/client/submit.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { restStorage } from '../inventory/storage-records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';

/** An environment with the server `web1` and the storage `store`, whose id is `st`. Close it. */
export async function startWithStorage(bundle: string): Promise<WorkflowEnvironment> {
  const chom = await startEnvironment(bundle);
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await storages.add(trx, chom.keyring, restStorage('st', 'store'));
  });
  return chom;
}

/** A new live site on `web1`, as plans name it. */
export async function liveSite(chom: WorkflowEnvironment, more: { database?: boolean } = {}) {
  const site = `s${randomId(9)}`;
  const domain = `${site}.test`;
  await chom.inventory.transaction(async (trx) => {
    await sites.reserve(trx, { ...sitePlan(site, domain), ...more }, `provision-${site}`);
    await sites.activate(trx, site);
  });
  return { site, tenant: 'default', server: 'web1', serverName: 'web1', domain };
}

/** The id of a snapshot. */
export function snapshotId(): string {
  return Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join('');
}
