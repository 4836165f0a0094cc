import type { Db } from '../inventory/database.js';
import * as backups from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import type { Site } from '../inventory/sites.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';

/** The storage that holds a site's newest backup; null: it has none. */
export async function storageOfNewest(db: Db, { id: site, tenant }: Site): Promise<Storage | null> {
  const [newest] = await backups.list(db, { tenant, site, states: ['completed', 'verified'] });
  if (!newest) return null;
  return await storages.byId(db, (await repositories.byId(db, newest.repository)).storage);
}
