import { afterAll, beforeAll, beforeEach, expect, inject, test, vi } from 'vitest';
import { rebootActivities } from '../../src/activities/reboot.js';
import type { Chom } from '../../src/client/open.js';
import { rebootServer } from '../../src/client/reboot-server.js';
import { randomId } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { failure } from '../../src/workflows/failures.js';
import { sitePlan } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { timersOf } from './timers.js';
import { upkeptHost, type UpkeptHost } from './upkept-host.js';

/** Of the clock that watches for twice the expected time. */
const CLOCK = 600;

let chom: WorkflowEnvironment;
let host: UpkeptHost;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());
beforeEach(async () => {
  host = await upkeptHost(chom, `srv-${randomId(6)}`);
});

const client = (): Chom => ({ ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} });

async function reboot({ ifPending = false, played = {} }: { ifPending?: boolean; played?: object } = {}) {
  const activities = { ...rebootActivities({ ...chom.deps, hosts: host.hosts }), ...played };
  const id = await chom.withWorker(activities, async () => {
    const operation = await rebootServer(client(), { server: host.server, ifPending });
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const waits = timersOf(await chom.replayed(id)).filter((seconds) => seconds !== CLOCK);
  const told = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  return { row: await operations.byId(chom.inventory.db, id), waits, told };
}

test('a server is restarted once, and waited for', async () => {
  const { row, waits, told } = await reboot();
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect([host.reboots, waits, told]).toEqual([1, [5, 10, 20], ['ServerRebooted']]);
});

test('where nothing wants it, it is left alone', async () => {
  const { row, told } = await reboot({ ifPending: true });
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining('was left alone')] });
  expect([host.reboots, told]).toEqual([0, []]);
});

test('one that does not come back is given up after a quarter of an hour, and is not restarted again', async () => {
  host.downFor = 1000;
  const { row, told, waits } = await reboot();
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'TimedOut' });
  expect(row.reason).toContain('is not back: it is down');
  expect([host.reboots, told]).toEqual([1, ['OperationOverdue', 'ServerRebootFailed', 'Alert']]);
  expect(waits.slice(0, 5)).toEqual([5, 10, 20, 40, 60]);
});

test('a site that answered before and does not afterwards is named, and the server is not restarted again', async () => {
  let looks = 0;
  const seeSites = async () => {
    looks += 1;
    throw failure('ProbeFailed', 'srv has restarted, and a.test does not answer any more');
  };
  const { row, told } = await reboot({ played: { seeSites } });
  expect(row).toMatchObject({
    outcome: 'failed',
    failureType: 'ProbeFailed',
    reason: expect.stringContaining('a.test'),
  });
  expect([looks, host.reboots, told]).toEqual([3, 1, ['ServerRebootFailed', 'Alert']]);
});

test('PHP that does not come back is named with the site that it is of', async () => {
  const site = `s${randomId(9)}`;
  const unit = `chom-php@${site}.service`;
  await chom.inventory.transaction(async (trx) => {
    const plan = { ...sitePlan(site, `${site}.test`), server: host.server, serverName: host.server };
    await sites.reserve(trx, plan, `provision-${site}`);
  });
  host.services = ['nginx.service', unit];
  const real = rebootActivities({ ...chom.deps, hosts: host.hosts });
  const seeServices = async (...args: Parameters<typeof real.seeServices>) => {
    host.services = ['nginx.service'];
    // What it waits for passes at once.
    const now = Date.now.bind(Date);
    let looks = 0;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 30_000 * looks++);
    await real.seeServices(...args).finally(() => clock.mockRestore());
  };
  const { row } = await reboot({ played: { seeServices } });
  expect(row).toMatchObject({
    ...{ outcome: 'failed', failureType: 'ProbeFailed' },
    reason: expect.stringContaining(`and without ${unit} of ${site}.test`),
    details: { next: `chom site doctor ${site}.test` },
  });
});

test('whatever its steps meet, it is restarted once', async () => {
  let [restarts, looks] = [0, 0];
  const real = rebootActivities({ ...chom.deps, hosts: host.hosts });
  const played = {
    // The answer is lost on the way.
    restartServer: async (...args: Parameters<typeof real.restartServer>) => {
      await real.restartServer(...args);
      restarts += 1;
      if (restarts === 1) throw failure('ConnectionLost', 'the server went away');
    },
    seeServices: async () => {
      looks += 1;
      if (looks === 1) throw failure('ProbeFailed', 'without mariadb.service');
    },
  };
  const { row } = await reboot({ played });
  expect(row).toMatchObject({ outcome: 'succeeded' });
  expect([restarts, host.reboots]).toEqual([2, 1]);
});
