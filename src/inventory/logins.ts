import { failure } from '../workflows/failures.js';
import * as credentials from './credentials.js';
import type { Db } from './database.js';
import type { Keyring } from './keyring.js';
import type { CredentialKind } from './schema.js';
import * as servers from './servers.js';

/** Where a server is, and the key that gets in now. */
export interface ServerLogin {
  name: string;
  address: string;
  port: number;
  user: string;
  /** The pinned host key. */
  hostKey: string;
  /** In OpenSSH's format. */
  privateKey: Buffer;
  /** The credential's id. */
  keyId: string;
}

/** While a server is enrolled its own key is not proven yet: the one that the operator gave gets in. */
const ENROLLING: readonly CredentialKind[] = ['bootstrap', 'server-key'];
const ENROLLED: readonly CredentialKind[] = ['server-key', 'bootstrap'];

/**
 * How to log into a server, as the inventory has it now.
 * @throws NotFound no such server, or no key for it; `HostKeyUnconfirmed` no host key is pinned
 */
export async function serverLogin(db: Db, keyring: Keyring, id: string): Promise<ServerLogin> {
  const { name, address, port, user, hostKey, status } = await servers.byId(db, id);
  if (hostKey === null) {
    throw failure('HostKeyUnconfirmed', `The host key of server ${name} was never confirmed`, {
      server: name,
      next: `chom server add ${name}`,
    });
  }
  for (const kind of status === 'active' ? ENROLLED : ENROLLING) {
    const credential = await credentials.current(db, id, kind);
    if (!credential) continue;
    const privateKey = credentials.open(credential, keyring);
    return { name, address, port, user, hostKey, privateKey, keyId: credential.id };
  }
  throw failure('NotFound', `There is no key for server ${name}`, { server: name, next: `chom server add ${name}` });
}
