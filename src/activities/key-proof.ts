import { ApplicationFailure } from '@temporalio/common';
import type { Host } from '../host/host.js';
import { sh } from '../host/shell.js';
import * as credentials from '../inventory/credentials.js';
import type { Db } from '../inventory/database.js';
import { failure } from '../workflows/failures.js';
import type { Deps } from './deps.js';

/** A server as a proof names it. */
interface Where {
  server: string;
  name: string;
}

/** The line of a key for authorized_keys, by its credential. @throws NotFound; Bug it is no key */
export async function publicLine(db: Db, id: string): Promise<string> {
  const { public: line } = await credentials.byId(db, id);
  if (line === null) throw failure('Bug', `Credential ${id} has no public half`);
  return line;
}

/** Logs in with exactly this key over a connection of its own. Failures: those of a login. */
export async function logInAfresh(
  { hosts, inventory, keyring }: Pick<Deps, 'hosts' | 'inventory' | 'keyring'>,
  { server, name }: Where,
  id: string,
): Promise<void> {
  const credential = await credentials.byId(inventory.db, id);
  const privateKey = credentials.open(credential, keyring);
  await expectRoot(await hosts.withKey(server, { privateKey, keyId: id }), name);
}

/** @throws LoginRefused whoever has logged in does not become root */
export async function expectRoot(host: Host, name: string): Promise<void> {
  const { exit } = await host.read(sh`[ "$(id -u)" = 0 ]`);
  if (exit === 0) return;
  throw failure('LoginRefused', `The key logs in to ${name}, but does not become root`, { server: name });
}

/**
 * Sees a key refused, in one attempt: more of them count against our address (OpenSSH 9.8, PerSourcePenalties).
 * @throws ProbeFailed it still gets in; those of a login but LoginRefused
 */
export async function seeRefused(
  { hosts, inventory, keyring }: Pick<Deps, 'hosts' | 'inventory' | 'keyring'>,
  { server, name }: Where,
  id: string,
): Promise<void> {
  const privateKey = credentials.open(await credentials.byId(inventory.db, id), keyring);
  try {
    await hosts.withKey(server, { privateKey, keyId: id });
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === 'LoginRefused') return;
    throw error;
  }
  throw failure('ProbeFailed', `The old key of ${name} is in authorized_keys no more, and still gets in`, {
    server: name,
    cause: 'sshd finds it elsewhere too: AuthorizedKeysFile or AuthorizedKeysCommand in sshd_config, or another line',
    next: `sshd -T | grep -i authorizedkeys (on ${name})`,
  });
}
