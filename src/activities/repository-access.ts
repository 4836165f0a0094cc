import type { RepositoryAccess } from '../host/restic.js';
import * as repositories from '../inventory/repositories.js';
import type { Storage } from '../inventory/storages.js';
import * as storages from '../inventory/storages.js';
import type { Deps } from './deps.js';

/** A repository, its storage, and everything that opens it: for the job that needs it, and never for longer. */
export interface OpenRepository {
  repository: repositories.Repository;
  storage: Storage;
  access: RepositoryAccess;
}

/** @throws NotFound; Forbidden sealed with a key that is not held */
export async function openRepository(
  { inventory, keyring }: Pick<Deps, 'inventory' | 'keyring'>,
  id: string,
): Promise<OpenRepository> {
  const repository = await repositories.byId(inventory.db, id);
  const storage = await storages.byId(inventory.db, repository.storage);
  const { url } = repository;
  const { hostKey, ca } = storage;
  const password = repositories.passwordOf(repository, keyring);
  const login = repositories.loginOf(repository, storage, keyring);
  return { repository, storage, access: { url, password, login, hostKey, ca } };
}
