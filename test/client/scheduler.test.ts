import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createScheduler, momentOf, scheduledId } from '../../src/client/scheduler.js';
import type { Submitter } from '../../src/client/submit.js';
import { openStores, type Stores } from '../../src/client/open.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as siteSchedules from '../../src/inventory/site-schedules.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import type { Round } from '../../src/workflows/run-schedule.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { restStorage } from '../inventory/storage-records.js';

const HOUR = 3_600_000;
let home = '';
let stores: Stores;
let chom: Submitter;
/** Ids of the workflows that were started. */
let started: string[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-test-'));
  stores = await openStores({ CHOM_HOME: home });
  const temporal = {
    ...{ address: 'here', namespace: 'default' },
    withDeadline: async (_: number, fn: () => Promise<unknown>) => await fn(),
    workflow: { start: async (_: string, { workflowId }: { workflowId: string }) => void started.push(workflowId) },
  };
  chom = { ...stores, temporal: temporal as unknown as Submitter['temporal'] };
  await stores.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await activeServer(trx, 'web2');
    await storages.add(trx, stores.keyring, restStorage('st', 'store'));
    for (const [site, server] of [
      ['soneaaaaaa', 'web1'],
      ['stwoaaaaaa', 'web1'],
      ['sthreeaaaa', 'web1'],
      ['sfouraaaaa', 'web2'],
    ] as const) {
      await sites.reserve(trx, { ...sitePlan(site, `${site}.test`), server, serverName: server }, `provision-${site}`);
      await sites.activate(trx, site);
    }
  });
});
beforeEach(() => {
  started = [];
});
afterAll(async () => {
  await stores.inventory.close();
  await rm(home, { recursive: true, force: true });
});

const round = (run: string, more: Partial<Round> = {}): Round => ({
  ...{ work: 'back-up-sites', run, windowMilliseconds: 0, after: -1, upTo: 0, waiting: [] },
  ...more,
});
const asked = async (run: string) => {
  const found = [];
  for (const site of ['soneaaaaaa', 'stwoaaaaaa', 'sthreeaaaa', 'sfouraaaaa']) {
    if (await operations.find(stores.inventory.db, scheduledId('create-backup', run, site))) found.push(site);
  }
  return found;
};
async function end(run: string, ...of: string[]): Promise<void> {
  await stores.inventory.transaction(async (trx) => {
    for (const site of of) await operations.cancelAsked(trx, scheduledId('create-backup', run, site));
  });
}

describe('backups of all sites', () => {
  test('no more than two on a server at once; the others wait, and come when these have ended', async () => {
    const first = await createScheduler(chom).ask(round('a'));
    expect(first).toEqual({ asked: 3, waiting: [expect.any(String)], refused: [] });
    expect(started).toHaveLength(3);
    expect(await asked('a')).toContain('sfouraaaaa');
    const again = await createScheduler(chom).ask(round('a', { after: 0, upTo: 1, waiting: first.waiting }));
    expect(again).toEqual({ asked: 0, waiting: first.waiting, refused: [] });
    await end('a', ...(await asked('a')));
    const last = await createScheduler(chom).ask(round('a', { after: 1, upTo: 2, waiting: first.waiting }));
    expect(last).toEqual({ asked: 1, waiting: [], refused: [] });
    await end('a', ...first.waiting);
  });

  test('what is asked for twice in a run is asked for once, and once more in another', async () => {
    const scheduler = createScheduler(chom);
    await scheduler.ask(round('b'));
    const before = await operations.list(stores.inventory.db, { kind: 'create-backup' });
    expect((await scheduler.ask(round('b'))).asked).toBe(0);
    expect(await operations.list(stores.inventory.db, { kind: 'create-backup' })).toHaveLength(before.length);
    const [one] = await asked('b');
    await end('b', ...(await asked('b')));
    expect((await scheduler.ask(round('c'))).asked).toBe(3);
    expect(scheduledId('create-backup', 'b', one ?? '')).not.toBe(scheduledId('create-backup', 'c', one ?? ''));
    await end('c', ...(await asked('c')));
  });

  test('they are of low priority, and say what they are', async () => {
    await createScheduler(chom).ask(round('d'));
    const [site = ''] = await asked('d');
    const row = await operations.byId(stores.inventory.db, scheduledId('create-backup', 'd', site));
    expect(row).toMatchObject({ priority: 'low', tenant: 'default', kind: 'create-backup', site });
    expect(operations.openInput(row, stores.keyring)).toMatchObject({ tag: 'nightly', storageName: 'store' });
    await end('d', ...(await asked('d')));
  });

  test('one that does not want them has none; which storage is said, or follows from what there is', async () => {
    const { inventory, keyring } = stores;
    await inventory.transaction(async (trx) => {
      await siteSchedules.setOfSite(trx, 'soneaaaaaa', { backups: false });
      await storages.add(trx, keyring, restStorage('st2', 'other'));
      await siteSchedules.setOfSite(trx, 'stwoaaaaaa', { storage: 'st2' });
    });
    const { refused } = await createScheduler(chom).ask(round('e'));
    expect(await asked('e')).toEqual(['stwoaaaaaa']);
    expect(refused.map(({ what }) => what).sort()).toEqual(['sfouraaaaa.test', 'sthreeaaaa.test']);
    expect(refused[0]?.reason).toContain('It is not said which storage');
    await createScheduler(chom).tell({ work: 'back-up-sites', run: 'e', refused, left: ['stwoaaaaaa'] });
    await createScheduler(chom).tell({ work: 'back-up-sites', run: 'e', refused, left: ['stwoaaaaaa'] });
    const told = await events.list(inventory.db, { operation: 'schedule/e/default' });
    expect(told.map(({ type }) => type)).toEqual(['ScheduleIncomplete', 'Alert']);
    expect(told[0]?.data).toMatchObject({ schedule: 'back-up-sites', count: 3 });
    await end('e', 'stwoaaaaaa');
    await inventory.transaction(async (trx) => {
      await siteSchedules.setOfSite(trx, 'soneaaaaaa', { backups: true });
      await siteSchedules.setOfSite(trx, 'stwoaaaaaa', { storage: null });
      await storages.remove(trx, 'st2');
    });
  });

  test('each has its moment in the window: over all rounds each is asked for once', async () => {
    const scheduler = createScheduler(chom);
    const windowMilliseconds = 5 * HOUR;
    let waiting: string[] = [];
    const came: string[] = [];
    for (let [after, upTo] = [-1, 0]; after < windowMilliseconds; [after, upTo] = [upTo, upTo + 10 * 60_000]) {
      ({ waiting } = await scheduler.ask(round('f', { windowMilliseconds, after, upTo, waiting })));
      const now = (await asked('f')).filter((site) => !came.includes(site));
      for (const site of now) expect(momentOf(site) * windowMilliseconds).toBeLessThanOrEqual(upTo);
      came.push(...now);
      await end('f', ...now);
    }
    expect(came.sort()).toEqual(['sfouraaaaa', 'soneaaaaaa', 'sthreeaaaa', 'stwoaaaaaa']);
    expect(waiting).toEqual([]);
  });
});

test('keys are replaced one after the other, and no more of them after one that failed', async () => {
  const { inventory, keyring } = stores;
  const made = new Date(Date.now() - 100 * 24 * HOUR).toISOString();
  await inventory.transaction(async (trx) => {
    for (const server of ['web1', 'web2']) {
      const key = { server, kind: 'server-key', secret: Buffer.from(server), public: null, state: 'current' } as const;
      const { id } = await credentials.put(trx, keyring, { ...key, id: `key-${server}` });
      await trx.updateTable('credentials').set({ createdAt: made }).where('id', '=', id).execute();
    }
  });
  const scheduler = createScheduler(chom);
  const keys = (more: Partial<Round>) => round('k', { work: 'rotate-credentials', ...more });
  const first = await scheduler.ask(keys({}));
  expect(first).toEqual({ asked: 1, waiting: ['web1', 'web2'], refused: [] });
  const again = await scheduler.ask(keys({ after: 0, upTo: 1, waiting: first.waiting }));
  expect(again).toEqual({ asked: 0, waiting: ['web1', 'web2'], refused: [] });
  const failed = { outcome: 'failed', state: 'ended' } as const;
  const rotation = scheduledId('rotate-credentials', 'k', 'web1');
  await inventory.transaction(async (trx) => {
    await trx.updateTable('operations').set(failed).where('id', '=', rotation).execute();
  });
  const last = await scheduler.ask(keys({ after: 1, upTo: 2, waiting: again.waiting }));
  expect(last).toMatchObject({ asked: 0, waiting: [], refused: [{ what: 'web2', tenant: 'default' }] });
  expect(started).toEqual([rotation]);
});

test('moments are spread evenly, and stay the same', () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let n = 0; n < 10_000; n += 1) tenths[Math.floor(momentOf(`s${n}`) * 10)]! += 1;
  for (const count of tenths) expect(count).toBeGreaterThan(850);
  expect(momentOf('soneaaaaaa')).toBeCloseTo(0.4078, 4);
});
