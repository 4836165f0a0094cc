import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { checkActivities } from '../../src/activities/server-check.js';
import { checkServer } from '../../src/client/check-server.js';
import type { Chom } from '../../src/client/open.js';
import { randomId } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as findings from '../../src/inventory/findings.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as checks from '../../src/inventory/server-checks.js';
import type { FailureType } from '../../src/workflows/failures.js';
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

async function check(login: (n: number) => FailureType | null = () => null) {
  host.login = login;
  host.logins = 0;
  const before = (await emitted()).length;
  const id = await chom.withWorker(checkActivities({ ...chom.deps, hosts: host.hosts }), async () => {
    const { operation } = await checkServer(client(), host.server);
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const waits = timersOf(await chom.replayed(id)).filter((seconds) => seconds !== CLOCK);
  const row = await operations.byId(chom.inventory.db, id);
  return { id, row, waits, told: (await emitted()).slice(before) };
}
async function emitted(): Promise<string[]> {
  const all = await events.list(chom.inventory.db, { server: host.server });
  return all.map(({ type, data }) => `${type} ${String(data['name'] ?? data['about'])}`);
}
const open = async () =>
  (await findings.open(chom.inventory.db, { server: host.server })).map(({ key }) => key).toSorted();
const line = async () => await places.list(chom.inventory.db, { server: host.server });

test('a server that is well has nothing wrong, and a check has no place on it', async () => {
  const { row, told, waits } = await check();
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, priority: 'low', server: null, warnings: [] });
  expect([told, waits, await open(), await line()]).toEqual([[], [], [], []]);
  const health = (await checks.health(chom.inventory.db, 'default')).get(host.server);
  expect(health).toEqual({ checkedAt: expect.any(String), open: 0, serious: 0 });
});

test('what is wrong is told once, and once that it is gone', async () => {
  const well = host.says;
  host.says = well.replace('mariadb=active\n', '').replace('controller=test', 'controller=test\nreboot-required=yes');
  expect((await check()).told).toEqual([
    ...['ServerFindingOpened mariadb', 'Alert ServerFindingOpened', 'ServerFindingOpened restart'],
  ]);
  for (let n = 0; n < 3; n += 1) expect((await check()).told).toEqual([]);
  expect(await open()).toEqual(['mariadb', 'restart']);
  host.says = well;
  expect((await check()).told).toEqual(['ServerFindingResolved mariadb', 'ServerFindingResolved restart']);
});

test('one that cannot be reached is alerted of after three logins, once, and nothing else is said of it', async () => {
  host.says = host.says.replace('mariadb=active\n', '');
  await check();
  const { row, waits, told } = await check(() => 'Unreachable');
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect([host.logins, waits]).toEqual([3, [30, 60]]);
  expect(told).toEqual(['ServerFindingOpened login', 'Alert ServerFindingOpened']);
  for (let n = 0; n < 2; n += 1) expect((await check(() => 'Unreachable')).told).toEqual([]);
  expect(await open()).toEqual(['login/Unreachable', 'mariadb']);
  expect((await check()).told).toEqual(['ServerFindingResolved login']);
});

test('a login that gets in after all is no news', async () => {
  expect(await check((n) => (n < 2 ? 'Unreachable' : null))).toMatchObject({ waits: [30, 60], told: [] });
});

test.each([
  ['LoginRefused', 1, ['ServerFindingOpened login', 'Alert ServerFindingOpened']],
  ['HostKeyMismatch', 1, ['ServerFindingOpened login', 'Alert ServerFindingOpened']],
  ['Penalised', 3, []],
] as const)('%s is told apart, after %i logins', async (type, logins, told) => {
  const checked = await check(() => type);
  expect([host.logins, checked.told]).toEqual([logins, told]);
  expect(await open()).toEqual(told.length === 0 ? [] : [`login/${type}`]);
  expect((await check(() => type)).told).toHaveLength(told.length === 0 ? 2 : 0);
  expect(await open()).toEqual([`login/${type}`]);
});

test('a server that an operation has for itself is left for the next check', async () => {
  await chom.inventory.transaction(async (trx) => {
    const claimant = { root: 'reboot', tenant: 'default', server: host.server, site: null, priority: 'high' } as const;
    await places.enter(trx, { ...claimant, exclusive: true });
  });
  const { row, told } = await check(() => 'Unreachable');
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining('reboot has')] });
  expect([host.logins, told, await open()]).toEqual([0, [], []]);
});

test('who asks while it is looked at gets the same check', async () => {
  const first = await checkServer(client(), host.server);
  expect((await checkServer(client(), host.server)).operation).toBe(first.operation);
  await chom.withWorker(checkActivities({ ...chom.deps, hosts: host.hosts }), async () => {
    await chom.temporal.workflow.getHandle(first.operation).result();
  });
  expect((await check()).id).not.toBe(first.operation);
});
