import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { parseStorageName } from './names.js';
import { keeperOf } from './new-storage.js';
import type { Chom } from './open.js';
import { parseMaintain } from './storage-words.js';

/**
 * Says which enrolled server keeps the files of a storage, `SERVER:/path`: there backups are removed and repositories
 * looked through. @throws InvalidInput; NotFound no such storage or server; Conflict the server is not ready
 */
export async function keepStorage(chom: Chom, name: string, maintain: string): Promise<Storage> {
  const { server, path } = parseMaintain(maintain);
  const { inventory, tenant } = chom;
  const { id, kind } = await storages.byName(inventory.db, tenant, parseStorageName(name));
  if (kind === 's3') throw failure('InvalidInput', `No server keeps the files of storage ${name}: it is S3`);
  const { id: keeper } = await keeperOf(chom, server);
  return await inventory.transaction(async (trx) => await storages.setKeeper(trx, id, { server: keeper, path }));
}
