import type { Keyring } from '../inventory/keyring.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { refuseUpload } from './refuse-upload.js';
import { removeFromS3, uploadToS3 } from './s3-upload.js';
import { removeOverSftp, uploadOverSftp } from './sftp-upload.js';
import type { Uploaded } from './uploaded.js';

/**
 * Lays a backup down in a storage, below its path beside the repositories of sites, and reads it back. Under its name there is a
 * whole file or none. Returns where it lies. @throws StorageUnreachable; StorageRefused; HostKeyMismatch
 */
export async function uploadBackup(storage: Storage, keyring: Keyring, uploaded: Uploaded): Promise<string> {
  refuseUpload(storage);
  const login = storages.sharedLogin(storage, keyring);
  if (login?.kind === 's3') return await uploadToS3(storage, login, uploaded);
  if (login?.kind === 'sftp') return await uploadOverSftp(storage, login, uploaded);
  throw failure('Bug', `Storage ${storage.name} has a login of another kind`);
}

/**
 * Removes those of the backups there that `pick` names, by the login that maintains the storage where CHOM's own machine has one.
 * Returns their names; where neither that nor the storage lets CHOM delete none goes. @throws as `uploadBackup`
 */
export async function removeUploads(
  storage: Storage,
  keyring: Keyring,
  pick: (names: string[]) => string[],
): Promise<string[]> {
  refuseUpload(storage);
  const own = storages.maintenanceLogin(storage, keyring);
  if (own === null && storage.access === 'append-only') return [];
  const there = own === null ? storage : { ...storage, url: storage.maintainUrl ?? storage.url };
  const login = own ?? storages.sharedLogin(storage, keyring);
  if (login?.kind === 's3') return await removeFromS3(there, login, pick);
  if (login?.kind === 'sftp') return await removeOverSftp(there, login, pick);
  throw failure('Bug', `Storage ${storage.name} has a login of another kind`);
}
