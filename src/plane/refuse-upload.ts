import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';

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
