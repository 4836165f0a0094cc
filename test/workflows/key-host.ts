import { retirementActivities } from '../../src/activities/retirement.js';
import { rotationActivities } from '../../src/activities/rotation.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import type { Hosts } from '../../src/host/pool.js';
import { loginFailure } from '../../src/host/login-failure.js';
import type { Script } from '../../src/host/shell.js';
import { makeSshKey } from '../../src/host/ssh-key.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as servers from '../../src/inventory/servers.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import { keyHome, type KeyHome } from '../host/key-home.js';
import { activeServer } from '../inventory/records.js';
import type { WorkflowEnvironment } from './environment.js';

/** What befalls whoever comes to the server for the nth time, from 0; null: nothing. */
export type Trouble = (n: number) => FailureType | TypeError | 'cancel' | null | Promise<void>;

/** A server that is nothing but an authorized_keys, which real scripts change and by which logins are judged. */
export interface KeyHost {
  server: string;
  home: KeyHome;
  hosts: Hosts;
  /** Set by a test: asked before and after each contact. */
  trouble: Trouble;
  /** Contacts so far: logins, reads, and jobs, of these the beginning and the end. */
  contacts: number;
  /** Keys that were refused, a credential's id for each attempt. */
  refused: string[];
  /** Points at which no key that is current got in; must stay empty. */
  lockedOut: string[];
  /** The credentials that get in. */
  takes(): Promise<string[]>;
  activities: ReturnType<typeof rotationActivities> & ReturnType<typeof retirementActivities>;
}

/** What is in the file beside CHOM's key, which may do less than others. */
export const THEIRS = '# theirs\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAItheirs them\n';
export const OPTIONS = 'no-agent-forwarding ';

/** An enrolled server of that id, with a key. */
export async function keyHost(chom: WorkflowEnvironment, server: string): Promise<KeyHost> {
  const { db } = chom.inventory;
  const home = keyHome();
  const key = makeSshKey(`chom-${server}`);
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, server);
    await servers.pinHostKey(trx, server, { hostKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:x' });
    const kept = { id: `server-key/${server}/first`, server, kind: 'server-key', state: 'current' } as const;
    await credentials.put(trx, chom.keyring, { ...kept, public: key.public, secret: key.private });
  });
  home.write(`${THEIRS}${OPTIONS}${key.public}\n`);

  const lets = (credential: credentials.Credential) => {
    const [type, blob] = (credential.public ?? '').split(' ');
    return home
      .text()
      .split('\n')
      .some((line) => !line.startsWith('#') && line.includes(`${type} ${blob} `));
  };
  const current = async () => await credentials.current(db, server, 'server-key');

  /** Whatever happens, a key that CHOM goes by gets in. */
  async function contact(what: string): Promise<void> {
    const known = await current();
    if (!known || !lets(known)) self.lockedOut.push(what);
    const n = self.contacts;
    self.contacts += 1;
    const trouble = await self.trouble(n);
    if (trouble instanceof TypeError) throw trouble;
    if (typeof trouble === 'string' && trouble !== 'cancel') throw failure(trouble, `${what}: the server says no`);
  }

  function logIn(credential: credentials.Credential | null | undefined): void {
    if (credential && lets(credential)) return;
    self.refused.push(credential?.id ?? 'none');
    const where = { name: server, address: 'h', port: 22, user: 'root', hostKey: '' };
    throw loginFailure(
      where,
      Object.assign(new Error('All configured authentication methods failed'), { level: 'client-authentication' }),
      null,
    );
  }

  const output = (script: Script, already = false): Output => ({ ...home.run(script), already, milliseconds: 1 });
  const host = {
    name: server,
    async read(script: Script): Promise<Output> {
      await contact('read');
      return output(script);
    },
    async job({ check, act }: Job): Promise<Output> {
      await contact('job');
      const done = check && output(check, true);
      const result = done?.exit === 0 ? done : output(act);
      await contact('after the job');
      return result;
    },
    stop: async () => {},
    silence: async () => {},
  } as unknown as Host;

  const hosts = {
    async for() {
      await contact('login');
      logIn(await current());
      return host;
    },
    async withKey(_: string, { keyId }: { keyId: string }) {
      await contact('login afresh');
      logIn(await credentials.find(db, keyId));
      return host;
    },
  } as unknown as Hosts;

  const deps = { ...chom.deps, hosts };
  const self: KeyHost = {
    ...{ server, home, hosts, trouble: () => null, contacts: 0, refused: [], lockedOut: [] },
    async takes() {
      return (await credentials.list(db, server)).filter(lets).map(({ id }) => id);
    },
    activities: { ...rotationActivities(deps), ...retirementActivities(deps) },
  };
  return self;
}
