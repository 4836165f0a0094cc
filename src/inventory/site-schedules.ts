import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';
import * as sites from './sites.js';
import * as storages from './storages.js';

/** What schedules do for a site. What is left out stays as it is. */
export interface SiteSchedules {
  /** Whether they back it up, and try its backups out. */
  backups?: boolean;
  /** Id of the storage that these go to; null: where its newest lies, or the only one. */
  storage?: string | null;
}

/** @throws NotFound, also where the storage is not one that the site's tenant may use; Conflict the site is removed */
export async function setOfSite(trx: Trx, id: string, { backups, storage }: SiteSchedules): Promise<void> {
  const { status, domain, tenant } = await sites.byId(trx, id);
  // When it was removed is the time of its last change.
  if (status === 'removed') throw failure('Conflict', `Site ${domain} is removed`, { next: 'chom site list' });
  if (storage !== undefined && storage !== null) await storages.byId(trx, storage, { tenant });
  const values = {
    ...(backups !== undefined && { scheduledBackups: backups ? (1 as const) : (0 as const) }),
    ...(storage !== undefined && { backupStorage: storage }),
    updatedAt: now(),
  };
  await trx.updateTable('sites').set(values).where('id', '=', id).execute();
}
