import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { accountRollActivities } from '../../src/activities/account-roll.js';
import { accountKeyId, makeAccountKey } from '../../src/activities/account-key.js';
import { controlPlaneActivities } from '../../src/activities/control-plane.js';
import { backUpChom } from '../../src/client/back-up-chom.js';
import type { Chom } from '../../src/client/open.js';
import { makeRecoveryKey } from '../../src/client/recovery-key.js';
import { retryOperation } from '../../src/client/retry-operation.js';
import { rollAccount } from '../../src/client/roll-account.js';
import * as accounts from '../../src/inventory/accounts.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import { failure } from '../../src/workflows/failures.js';
import { fakeAuthority, problem, type FakeAuthority } from '../activities/fake-authority.js';
import { runHere } from '../client/command-line.js';
import { failureOf } from '../inventory/databases.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { timersOf } from './timers.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

const client = (config = chom.config): Chom => ({
  ...{ ...chom, config, tenant: 'default' },
  temporal: async () => chom.temporal,
  close: async () => {},
});

/** Waits until an operation has ended, and says how. */
async function ended(id: string, clock: number) {
  await chom.temporal.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  const timers = timersOf(await chom.replayed(id));
  const row = await operations.byId(chom.inventory.db, id);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  return { row, emitted, waits: timers.filter((seconds) => seconds !== clock) };
}

describe('back-up-control-plane', () => {
  const CLOCK = 600;
  const found = async () => await readdir(join(chom.config.home, 'backups')).catch(() => []);

  test('backs CHOM up, encrypted and tried out, and what it holds may be relied upon', async () => {
    expect(await failureOf(backUpChom(client()))).toMatchObject({
      type: 'Forbidden',
      details: { next: expect.stringContaining('recovery-kit') },
    });
    await makeRecoveryKey(chom, () => {});
    await chom.inventory.transaction(async (trx) => {
      const key = { id: 'key', server: null, kind: 'acme-account', public: null, state: 'current' } as const;
      await credentials.put(trx, chom.keyring, { ...key, secret: Buffer.from('x') });
    });
    const away = failure('StorageUnreachable', 'the storage is away');
    let n = 0;
    const made = controlPlaneActivities(chom.deps);
    const activities = {
      ...made,
      async makeControlPlaneBackup(...args: Parameters<typeof made.makeControlPlaneBackup>) {
        n += 1;
        if (n === 1) throw away;
        return await made.makeControlPlaneBackup(...args);
      },
    };
    const { row, emitted, waits } = await chom.withWorker(
      activities,
      async () => await ended(await backUpChom(client()), CLOCK),
    );
    expect(row).toMatchObject({ outcome: 'succeeded', warnings: [], server: null });
    expect([emitted, waits]).toEqual([['ControlPlaneBackedUp'], [300]]);
    expect(await found()).toEqual([expect.stringMatching(/^control-plane-.*\.chom-sealed$/)]);
    expect((await credentials.byId(chom.inventory.db, 'key')).backedUpAt).not.toBeNull();
  });

  test('tells of its failure, and is asked for again from what is on record', async () => {
    const activities = {
      ...controlPlaneActivities(chom.deps),
      async makeControlPlaneBackup(): Promise<never> {
        throw failure('Conflict', 'the master key was changed');
      },
    };
    const { row, emitted } = await chom.withWorker(
      activities,
      async () => await ended(await backUpChom(client()), CLOCK),
    );
    expect([row.outcome, emitted]).toEqual(['failed', ['ControlPlaneBackupFailed', 'Alert']]);
    const again = await chom.withWorker(controlPlaneActivities(chom.deps), async () => {
      return await ended(await retryOperation(client(), row.id), CLOCK);
    });
    expect(again.row.outcome).toBe('succeeded');
  });
});

describe('roll-acme-account', () => {
  const CLOCK = 120;
  let fake: FakeAuthority;
  let config: Chom['config'];
  beforeEach(async () => {
    fake = await fakeAuthority();
    config = { ...chom.config, acmeDirectory: fake.directory };
    await chom.inventory.transaction(async (trx) => {
      const id = accountKeyId(fake.directory);
      const key = { id, server: null, kind: 'acme-account', public: null, state: 'current' } as const;
      await credentials.put(trx, chom.keyring, { ...key, secret: makeAccountKey() });
      await accounts.put(trx, {
        directory: fake.directory,
        url: fake.directory.replace('directory', 'account/1'),
        credential: id,
        contact: null,
      });
    });
  });
  afterEach(async () => await fake.close());

  async function roll(activities = accountRollActivities({ ...chom.deps, config })) {
    return await chom.withWorker(activities, async () => await ended(await rollAccount(client(config)), CLOCK));
  }

  test('gives the account another key, also where no answer comes for a while', async () => {
    fake.next('keyChange', 'lost');
    fake.next('account', problem(400, 'accountDoesNotExist', 'not yet'));
    fake.next('account', 'lost');
    const { row, emitted, waits } = await roll();
    expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect([emitted, waits]).toEqual([['CertificateAccountRolled'], [30]]);
    expect(fake.posts('keyChange')).toHaveLength(1);
    expect((await accounts.byDirectory(chom.inventory.db, fake.directory))?.credential).toBe(
      `${accountKeyId(fake.directory)}/${row.id}`,
    );
  });

  test('of the other authority is replaced where the command says so', async () => {
    const environment = {
      ...{ ...chom.settings, TEMPORAL_ADDRESS: chom.address },
      ...{ CHOM_ACME_DIRECTORY: 'https://127.0.0.1:9/dir', CHOM_ACME_FALLBACK_DIRECTORY: fake.directory },
    };
    const fallback = { ...config, acmeDirectory: 'https://127.0.0.1:9/dir', acmeFallbackDirectory: fake.directory };
    const before = (await accounts.byDirectory(chom.inventory.db, fake.directory))?.credential;
    await chom.withWorker(accountRollActivities({ ...chom.deps, config: fallback }), async () => {
      const { status, stderr } = await runHere(['certificate', 'account', 'roll', '--fallback'], environment);
      expect(status, stderr).toBe(0);
    });
    expect(fake.posts('keyChange')).toHaveLength(1);
    expect((await accounts.byDirectory(chom.inventory.db, fake.directory))?.credential).not.toBe(before);
  });

  test('ended before it was recorded, is put right by the next one', async () => {
    const made = accountRollActivities({ ...chom.deps, config });
    const { row, emitted } = await roll({
      ...made,
      async useNextAccountKey(): Promise<never> {
        throw failure('Conflict', 'somebody ended it here');
      },
    });
    expect([row.outcome, emitted]).toEqual(['failed', ['CertificateAccountFailed', 'Alert']]);
    const again = await roll();
    expect(again.row.outcome).toBe('succeeded');
    expect(fake.posts('keyChange')).toHaveLength(2);
    const kept = await accounts.nextKeys(chom.inventory.db, accountKeyId(fake.directory));
    expect(kept).toEqual([]);
  });

  test('that is refused leaves the account as it was', async () => {
    fake.next('keyChange', problem(403, 'unauthorized', 'account is deactivated'));
    const { row, waits } = await roll();
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'CertificateRefused' });
    expect(waits).toEqual([]);
    expect((await accounts.byDirectory(chom.inventory.db, fake.directory))?.credential).toBe(
      accountKeyId(fake.directory),
    );
    expect(await failureOf(rollAccount(client(config), { fallback: true }))).toMatchObject({ type: 'InvalidInput' });
  });
});
