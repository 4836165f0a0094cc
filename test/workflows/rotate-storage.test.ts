import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { rotateStorage } from '../../src/client/rotate-storage.js';
import { submit } from '../../src/client/submit.js';
import { tryOwed } from '../../src/client/tries.js';
import type { Chom } from '../../src/client/open.js';
import * as events from '../../src/inventory/events.js';
import { setRecoveryKey } from '../../src/inventory/keyring-file.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import { createRecoveryKey } from '../../src/inventory/recovery.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as rotation from '../../src/inventory/repository-rotation.js';
import * as storages from '../../src/inventory/storages.js';
import * as tries from '../../src/inventory/tries.js';
import { UNDO } from '../../src/workflows/plans.js';
import { OLD_PASSWORD } from '../../src/workflows/storage-rotation-plan.js';
import { failureOf } from '../inventory/databases.js';
import { activeServer } from '../inventory/records.js';
import { sftpStorage } from '../inventory/storage-records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import type { Trouble } from './key-host.js';
import { BOX, repositoryHost, type RepositoryHost } from './repository-host.js';
import { timersOf } from './timers.js';

/** Of the clocks that watch for twice the expected times. */
const CLOCKS = [240];

let chom: WorkflowEnvironment;
let host: RepositoryHost;
let recoveryKey = '';
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  const { publicKey, privateKey } = createRecoveryKey();
  recoveryKey = privateKey;
  await setRecoveryKey(chom.config.home, publicKey);
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    const { login: _, ...box } = sftpStorage(BOX, 'box', { logins: 'per-site', url: 'sftp://198.18.0.9:22//' });
    await storages.add(trx, chom.keyring, { ...box, maintain: { server: 'web1', path: '/srv/box' } });
    await storages.add(trx, chom.keyring, sftpStorage('stofar', 'far'));
  });
});
afterAll(async () => await chom?.close());
beforeEach(async () => {
  host = await repositoryHost(chom, recoveryKey);
});

const client = (): Chom => ({ ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} });
const kept = async () => {
  const repository = await repositories.byId(chom.inventory.db, host.plan.repository);
  return {
    current: repositories.passwordOf(repository, chom.keyring).toString(),
    next: rotation.nextOf(repository, chom.keyring)?.password.toString() ?? null,
    old: rotation.oldPasswordOf(repository, chom.keyring)?.toString() ?? null,
    login: repository.loginPublic,
  };
};
const opening = () => [...new Set(host.passwords.values())].toSorted();

async function ended(id: string) {
  await chom.temporal.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  const timers = timersOf(await chom.replayed(id));
  const row = await operations.byId(chom.inventory.db, id);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  return { id, row, emitted, waits: timers.filter((seconds) => !CLOCKS.includes(seconds)) };
}

async function rotate(trouble: Trouble = () => null) {
  Object.assign(host, { trouble, contacts: 0 });
  const { tenant, server, serverName, site, domain } = host.plan;
  const where = { tenant, server, serverName, site, domain, summary: 'rotate' };
  const request = { ...where, kind: 'rotate-storage-credentials', input: host.plan } as const;
  return await chom.withWorker(host.activities, async () => await ended(await submit(chom, request)));
}

/** Has what the operation owes tried now. */
async function tried(operation: string, name: string, trouble: Trouble = () => null) {
  Object.assign(host, { trouble, contacts: 0 });
  const key = { operation, name };
  const before = (await obligations.find(chom.inventory.db, key))?.tries ?? 0;
  await chom.inventory.transaction((trx) => obligations.postpone(trx, key, new Date().toISOString()));
  return await chom.withWorker(host.activities, async () => {
    await tryOwed(chom);
    return await ended(tries.tryId(key, before + 1));
  });
}

const backUp = async () => {
  const held = await rotation.inUse(chom.inventory.db);
  await chom.inventory.transaction(async (trx) => await rotation.markBackedUp(trx, held));
};

test('a repository gets another password and login, and the old ones go once a backup of CHOM holds the new ones', async () => {
  const before = await kept();
  const { id, row, emitted, waits } = await chom.withWorker(host.activities, async () => {
    return await ended(await rotateStorage(client(), { storage: 'box', site: host.plan.domain }));
  });
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect([emitted, waits]).toEqual([['StorageCredentialsRotated'], []]);
  const now = await kept();
  expect(now).toMatchObject({ next: null, old: before.current });
  expect([now.current === before.current, now.login === before.login]).toEqual([false, false]);
  expect(opening()).toEqual([before.current, now.current].toSorted());
  expect(host.logins).toEqual([before.login, now.login]);
  expect((await rotate()).row).toMatchObject({ outcome: 'failed', failureType: 'Conflict' });
  for (let n = 1; n <= 2; n += 1) {
    expect((await tried(id, OLD_PASSWORD)).row).toMatchObject({ outcome: 'failed', failureType: 'NotBackedUp' });
  }
  await backUp();
  const retired = await tried(id, OLD_PASSWORD);
  expect(retired.row).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(retired.emitted).toEqual(['StorageCredentialsRetired']);
  expect([opening(), host.logins]).toEqual([[now.current], [now.login]]);
  expect(await kept()).toEqual({ ...now, old: null });
  expect(host.lost).toEqual([]);
});

test('an old password that nobody was going to remove any more is owed that again by whoever rotates', async () => {
  const { id } = await rotate();
  const key = { operation: id, name: OLD_PASSWORD };
  await chom.inventory.transaction(async (trx) => await obligations.close(trx, key, 'void'));
  await backUp();
  const refused = await chom.withWorker(host.activities, async () => {
    return await ended(await rotateStorage(client(), { storage: 'box', site: host.plan.domain }));
  });
  expect(refused.row).toMatchObject({ outcome: 'failed', failureType: 'Conflict' });
  expect(await obligations.find(chom.inventory.db, key)).toMatchObject({ state: 'open' });
  expect((await tried(id, OLD_PASSWORD)).row).toMatchObject({ outcome: 'succeeded' });
  expect(opening()).toEqual([(await kept()).current]);
});

test('a storage where nothing could be removed, and a site that has none there, are refused', async () => {
  const refused = async (storage: string, site: string) => await failureOf(rotateStorage(client(), { storage, site }));
  expect(await refused('far', host.plan.domain)).toMatchObject({ type: 'Conflict' });
  expect(await refused('box', 'nowhere.test')).toMatchObject({ type: 'NotFound' });
});

describe('whatever befalls a rotation, wherever', () => {
  /** What it still owes is tried. Returns how that went; null: it owes nothing. */
  async function settled(id: string): Promise<string | null> {
    const [owed] = await obligations.ofOperation(chom.inventory.db, id);
    return owed?.state === 'open' ? `${owed.name} ${(await tried(id, owed.name)).row.outcome}` : null;
  }

  test.each<[string, (at: number) => Trouble]>([
    ['an error nobody expected', (at) => (n) => (n === at ? new TypeError('nobody thought of this') : null)],
    ['a server that is away from then on', (at) => (n) => (n >= at ? 'HostKeyMismatch' : null)],
  ])(
    'what CHOM keeps opens the repository, and it ends well or as if it had not been: %s',
    async (what, befall) => {
      await rotate();
      const { contacts } = host;
      expect(contacts).toBeGreaterThan(10);
      const ends: (string | null)[] = [];
      for (let at = 0; at < contacts; at += 1) {
        host = await repositoryHost(chom, recoveryKey);
        const before = await kept();
        const { id, row } = await rotate(befall(at));
        const where = `${what}, at ${at}`;
        expect(row.outcome, where).toBe(row.committed ? 'succeeded' : 'failed');
        const expected = row.committed ? `${OLD_PASSWORD} succeeded` : `${UNDO} succeeded`;
        if (row.committed) await backUp();
        expect([null, expected], where).toContain(await settled(id));
        const now = await kept();
        expect([now.next, now.old, now.current === before.current], where).toEqual([null, null, !row.committed]);
        expect([opening(), host.logins], where).toEqual([[now.current], [now.login]]);
        expect(host.lost, where).toEqual([]);
        ends.push(row.outcome);
      }
      // What happens once is tried again.
      expect(ends.includes('failed')).toBe(what.startsWith('a server'));
    },
    600_000,
  );

  test('and whatever befalls the removal of the old password', async () => {
    const { id } = await rotate();
    await backUp();
    let failed = 0;
    for (let at = 0; ; at += 1) {
      const { row } = await tried(id, OLD_PASSWORD, (n) => (n >= at ? 'HostKeyMismatch' : null));
      if (row.outcome === 'succeeded') break;
      failed += 1;
      expect(opening()).toContain((await kept()).current);
    }
    expect(failed).toBeGreaterThan(3);
    const now = await kept();
    expect([opening(), host.logins, now.old, host.lost]).toEqual([[now.current], [now.login], null, []]);
  }, 600_000);
});
