import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { parseStorageName } from './names.js';
import { keeperNamed } from './new-storage.js';
import type { Chom } from './open.js';
import { parseMaintenance, type Maintenance } from './storage-maintenance.js';

/**
 * Says from where a storage is maintained: there backups are removed and repositories looked through.
 * @throws InvalidInput; NotFound no such storage or server; Conflict the server is not ready
 */
export async function keepStorage(chom: Chom, name: string, wanted: Maintenance): Promise<Storage> {
  const { inventory, keyring, tenant } = chom;
  const { id, kind, url, logins, maintainUrl } = await storages.byName(inventory.db, tenant, parseStorageName(name));
  const asked = parseMaintenance({ kind, url, perSite: logins === 'per-site' }, wanted);
  if (asked === null) throw failure('InvalidInput', `Nothing says from where storage ${name} is maintained`);
  if ('server' in asked && kind === 's3') {
    throw failure('InvalidInput', `No server keeps the files of storage ${name}: it is S3`, {
      next: `chom storage set ${name} --maintain controller --maintain-login FILE`,
    });
  }
  if (kind === 'rest' && (maintainUrl === null) !== 'server' in asked) {
    throw failure('InvalidInput', `Storage ${name} stays maintained as it is`, {
      cause: 'passwords lie sealed where that was said to be, and a recovery kit would look for them elsewhere',
      next: `chom storage add ANOTHER --repository ${url} …`,
    });
  }
  const keeper = await keeperNamed(chom, asked);
  return await inventory.transaction(async (trx) => await storages.setKeeper(trx, keyring, id, keeper));
}
