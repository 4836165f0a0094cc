import * as backups from '../inventory/backups.js';
import type { Db } from '../inventory/database.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import * as tenants from '../inventory/tenants.js';
import * as webhooks from '../inventory/webhooks.js';
import { SCHEDULES } from '../schedules.js';
import type { Session } from './cli.js';
import type { Suggestion } from './completion.js';
import { openStores } from './open.js';
import { statusOf } from './operation.js';

/** What has names that may be typed. */
export type Nameable =
  | 'sites'
  | 'servers'
  | 'storages'
  | 'tenants'
  | 'webhooks'
  | 'schedules'
  | 'operations'
  | 'backups';

/** More than a shell shows without asking. */
const MOST = 200;

const LISTS: Readonly<Record<Nameable, (db: Db, tenant: string) => Promise<Suggestion[]>>> = {
  sites: async (db, tenant) =>
    (await sites.list(db, { tenant })).map(({ domain, status }) => ({ name: domain, about: status })),
  servers: async (db, tenant) =>
    (await servers.list(db, { tenant })).map(({ name, address }) => ({ name, about: address })),
  storages: async (db, tenant) => (await storages.list(db, { tenant })).map(({ name, url }) => ({ name, about: url })),
  webhooks: async (db, tenant) => (await webhooks.list(db, { tenant })).map(({ name, url }) => ({ name, about: url })),
  tenants: async (db) => (await tenants.list(db)).map(({ name }) => ({ name, about: '' })),
  schedules: async () => SCHEDULES.map(({ name, does }) => ({ name, about: does })),
  operations: async (db, tenant) =>
    (await operations.list(db, { tenant, limit: MOST })).map((one) => ({ name: one.id, about: statusOf(one) })),
  async backups(db, tenant) {
    const newest = await backups.list(db, { tenant, states: ['completed', 'verified'] });
    return newest.slice(0, MOST).map(({ id, domain, startedAt }) => ({ name: id, about: `${domain}, ${startedAt}` }));
  },
};

/** The names that there are, for a shell: none where the inventory cannot be read, for nobody would see why. */
export async function liveNames(
  { environment }: Pick<Session, 'environment'>,
  of: Nameable,
  { tenant: name }: { tenant?: string },
): Promise<Suggestion[]> {
  try {
    const { inventory, config } = await openStores(environment);
    try {
      // Of these there are the same for all, also for who mistypes a tenant's name.
      if (of === 'tenants' || of === 'schedules') return await LISTS[of](inventory.db, '');
      const { id } = await tenants.byName(inventory.db, name ?? config.tenant);
      return await LISTS[of](inventory.db, id);
    } finally {
      await inventory.close();
    }
  } catch {
    return [];
  }
}
