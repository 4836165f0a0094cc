import type { Keyring } from '../inventory/keyring.js';
import * as storages from '../inventory/storages.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { uploadToS3 } from './s3-upload.js';
import { uploadOverSftp } from './sftp-upload.js';
import type { Uploaded } from './uploaded.js';

/** @throws InvalidInput backups of CHOM itself cannot go there; Conflict it is not complete */
export function refuseUpload({ name, kind, logins, hostKey, sealedLogin }: Storage): void {
  const next = 'chom storage add NAME --repository sftp:USER@HOST:/path, or s3:https://HOST/BUCKET';
  if (kind !== 'sftp' && kind !== 's3') {
    const cause = 'backups of CHOM itself are uploaded over SFTP, or to S3';
    throw failure('InvalidInput', `Storage ${name} is of kind ${kind}`, { cause, next });
  }
  if (logins === 'per-site') {
    const cause = 'each site has a login of its own there, and CHOM itself has none';
    throw failure('InvalidInput', `Nothing of CHOM itself can be uploaded to storage ${name}`, { cause, next });
  }
  if (sealedLogin === null || (kind === 'sftp' && hostKey === null)) {
    throw failure('Conflict', `Storage ${name} has no host key or no login yet`, { next: `chom storage show ${name}` });
  }
}

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
