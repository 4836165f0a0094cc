import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';

/** A file as it is to lie there, and its hash. */
export interface Uploaded {
  file: string;
  name: string;
  bytes: number;
  sha256: string;
}

/** Below a storage's path, beside the repositories of sites. */
export const DIRECTORY = 'control-plane';

/** What makes a command that uploads fail. */
export function uploadFailed(
  { name }: Pick<Storage, 'name'>,
  type: 'StorageUnreachable' | 'StorageRefused',
  error: unknown,
) {
  return failure(type, `The backup could not be uploaded to storage ${name}`, {
    cause: messageOf(error),
    next: `chom storage check ${name}`,
  });
}
