import { z } from 'zod';
import { failure } from '../workflows/failures.js';

export const storageLogin = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('rest'), user: z.string(), password: z.string() }),
  /** `privateKey` in OpenSSH's format; `public` as in authorized_keys. The user's name is part of the URL. */
  z.strictObject({ kind: z.literal('sftp'), privateKey: z.string(), public: z.string() }),
  z.strictObject({ kind: z.literal('s3'), accessKeyId: z.string(), secretAccessKey: z.string() }),
]);

/** What gets into a storage; a secret, sealed wherever it lies. */
export type StorageLogin = z.infer<typeof storageLogin>;

/** What of it may be shown. */
export function publicOf(of: StorageLogin): string {
  if (of.kind === 'sftp') return of.public;
  return of.kind === 'rest' ? of.user : of.accessKeyId;
}

/** Reads what was sealed. Nothing of it is in the failure. */
export function openLogin(text: Buffer): StorageLogin {
  const parsed = storageLogin.safeParse(JSON.parse(text.toString()));
  if (parsed.success) return parsed.data;
  throw failure('Bug', 'A sealed login of a storage has another form');
}
