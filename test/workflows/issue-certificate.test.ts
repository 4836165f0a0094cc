import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { certificateActivities } from '../../src/activities/certificate.js';
import { randomId, submit } from '../../src/client/submit.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { FailureType } from '../../src/workflows/failures.js';
import type { CertificatePlan } from '../../src/workflows/plans.js';
import { type FakeAuthority, problem, willingAuthority } from '../activities/fake-authority.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { certificateServer } from './certificate-server.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { timersOf } from './timers.js';

const CLOCK = 240;
let chom: WorkflowEnvironment;
let fake: FakeAuthority;
let plan: CertificatePlan;

beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
  });
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  const site = `s${randomId(9)}`;
  const domain = `${site}.test`;
  fake = await willingAuthority(domain);
  await chom.inventory.transaction(async (trx) => {
    await sites.reserve(trx, sitePlan(site, domain), 'provision-site');
    await sites.activate(trx, site);
  });
  plan = { site, tenant: 'default', server: 'web1', serverName: 'web1', names: [domain] };
});
afterEach(async () => await fake.close());

const server = (ends?: Record<string, FailureType[]>) => certificateServer(plan.names, ends);

async function issue({ activities }: ReturnType<typeof server>, meanwhile = async () => {}) {
  const config = { ...chom.config, acmeDirectory: fake.directory };
  const { tenant, server: at, serverName, site } = plan;
  const all = { ...certificateActivities({ ...chom.deps, config }), ...activities };
  const id = await chom.withWorker(all, async () => {
    const request = { kind: 'issue-certificate', input: plan, summary: 'a certificate' } as const;
    const operation = await submit(chom, {
      ...request,
      tenant,
      server: at,
      serverName,
      site,
      domain: plan.names[0] ?? '',
    });
    await meanwhile();
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const history = await chom.replayed(id);
  const waits = timersOf(history);
  const row = await operations.byId(chom.inventory.db, id);
  // The clock that watches for twice the expected time is no wait.
  return { row, waits: waits.filter((seconds) => seconds !== CLOCK) };
}

const eventTypes = async (operation: string) =>
  (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);

test('issues with one order, and records what was issued', async () => {
  const made = server();
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(waits).toEqual([]);
  expect(fake.posts('newOrder')).toHaveLength(1);
  expect(made.challenges.size).toBe(0);
  expect(await eventTypes(row.id)).toEqual(['CertificateIssued']);
  const installed = await certificates.installed(chom.inventory.db, plan.site);
  expect(Date.parse(installed?.notAfter ?? '') - Date.parse(installed?.notBefore ?? '')).toBe(45 * 86_400_000);
});

test('[IS-02] has 3 attempts, 120 seconds apart, [IS-08] and then leaves the site active, with event and alert', async () => {
  const made = server({ checkServedCertificate: Array<FailureType>(9).fill('ProbeFailed') });
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
  expect(waits).toEqual([120, 120]);
  expect(made.done.slice(-2)).toEqual(['publishWithoutTls', 'discardCertificate']);
  expect(made.challenges.size).toBe(0);
  expect(await eventTypes(row.id)).toEqual(expect.arrayContaining(['CertificateFailed', 'Alert']));
  expect((await sites.byId(chom.inventory.db, plan.site)).status).toBe('active');
  expect((await servers.byId(chom.inventory.db, 'web1')).status).toBe('active');
  expect(await certificates.installed(chom.inventory.db, plan.site)).toBeNull();
});

test('[IS-07] tries again after an error that nobody thought of', async () => {
  const { row, waits } = await issue(server({ installCertificate: ['Unexpected'] }));
  expect(row).toMatchObject({ outcome: 'succeeded' });
  expect(waits).toEqual([120]);
  expect(fake.posts('newOrder')).toHaveLength(1);
});

test('waits as long as the authority says, and asks once in that time', async () => {
  fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': '1800' }));
  const made = server();
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(waits).toEqual([1800]);
  expect(fake.posts('newOrder')).toHaveLength(2);
  // It took its key back before it left its place, and made another one at a place of a higher epoch.
  expect(made.done.slice(0, 3)).toEqual(['makeCertificateRequest', 'discardCertificate', 'makeCertificateRequest']);
  expect(made.done.filter((name) => name === 'discardCertificate')).toHaveLength(1);
  expect(row.epoch).toBe(2);
});

test('lets another one work on its site while it waits, and then looks again what there is to do', async () => {
  fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': '1800' }));
  const config = { ...chom.config, acmeDirectory: fake.directory };
  const findValidCertificate = async () => await certificates.installed(chom.inventory.db, plan.site);
  const made = server();
  const all = { ...certificateActivities({ ...chom.deps, config }), ...made.activities, findValidCertificate };
  const [first, second] = await chom.withWorker(all, async () => {
    const { tenant, server: at, serverName, site } = plan;
    const request = { kind: 'issue-certificate', input: plan, summary: 'a certificate' } as const;
    const wanted = { ...request, tenant, server: at, serverName, site };
    const waiting = await submit(chom, wanted);
    await until('it has given its place back', async () => {
      const { state } = await operations.byId(chom.inventory.db, waiting);
      return state === 'waiting' && (await places.find(chom.inventory.db, waiting)) === null;
    });
    const other = await submit(chom, wanted);
    for (const id of [other, waiting]) await chom.temporal.workflow.getHandle(id).result();
    return [waiting, other];
  });
  for (const id of [first, second]) await chom.replayed(id);
  expect(await operations.byId(chom.inventory.db, second)).toMatchObject({ outcome: 'succeeded', committed: true });
  expect(await operations.byId(chom.inventory.db, first)).toMatchObject({ outcome: 'succeeded', committed: false });
  expect(fake.posts('newOrder')).toHaveLength(2);
});

test('keeps its place where it cannot take back what it did, and goes on all the same', async () => {
  fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': '1800' }));
  const made = server({ discardCertificate: ['CommandFailed', 'CommandFailed', 'CommandFailed'] });
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [], epoch: 1 });
  expect(waits).toEqual([10, 10, 1800]);
});

test('can be cancelled while it waits without its place', async () => {
  fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': '1800' }));
  const made = server();
  const cancel = async () => {
    const row = async () => (await operations.list(chom.inventory.db, { site: plan.site }))[0];
    await until('it waits', async () => (await row())?.state === 'waiting');
    await chom.temporal.workflow.getHandle((await row())?.id ?? '').cancel();
  };
  const { row } = await issue(made, cancel);
  expect(row).toMatchObject({ outcome: 'cancelled', committed: false });
  expect(made.done).toEqual(['makeCertificateRequest', 'discardCertificate']);
  expect(await places.find(chom.inventory.db, row.id)).toBeNull();
});

test('gives up where the authority says half a day, and says until when', async () => {
  fake.next('newOrder', problem(429, 'rateLimited', 'too many certificates', { 'retry-after': '43200' }));
  const { row, waits } = await issue(server());
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'RateLimited' });
  expect(row.reason).toMatch(/too many certificates.* wait 43200 s, until \d{4}-\d\d-\d\dT/);
  expect(waits).toEqual([]);
  expect(fake.posts('newOrder')).toHaveLength(1);
});

test('orders again after a failed validation, once per attempt, and no more', async () => {
  fake.state.validation = 'invalid';
  fake.state.challengeError = { type: 'urn:ietf:params:acme:error:connection', detail: 'Timeout during connect' };
  const made = server();
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'ValidationFailed' });
  expect(row.reason).toContain('Timeout during connect');
  expect(waits).toEqual([120, 120]);
  expect(fake.posts('newOrder')).toHaveLength(3);
  expect(fake.posts('challenge')).toHaveLength(3);
  expect(made.challenges.size).toBe(0);
  expect(made.done.at(-1)).toBe('discardCertificate');
});

test('waits for an order that hangs, as the authority says, with one order', async () => {
  fake.state.validation = 'manual';
  fake.state.orderHeaders = { 'retry-after': '7' };
  const made = server();
  let looks = 0;
  fake.onOrder = (order) => {
    if (fake.posts('challenge').length === 0) return;
    looks += 1;
    if (looks === 3) Object.assign(order, { status: 'ready' });
    if (looks === 6) Object.assign(order, { status: 'valid' });
  };
  const { row, waits } = await issue(made);
  expect(row).toMatchObject({ outcome: 'succeeded' });
  expect(waits.length).toBeGreaterThan(2);
  expect(waits.every((seconds) => seconds >= 7)).toBe(true);
  expect(fake.posts('newOrder')).toHaveLength(1);
  expect(fake.posts('finalize')).toHaveLength(1);
});

test('gives up on an order that hangs for ten minutes', async () => {
  fake.state.validation = 'manual';
  const { row, waits } = await issue(server());
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'AuthorityError' });
  expect(row.reason).toContain('has not finished the order');
  expect(waits.reduce((sum, seconds) => sum + seconds, 0)).toBeLessThanOrEqual(600);
  expect(fake.posts('newOrder')).toHaveLength(1);
});

test('[IS-06] ends early for a site without a server', async () => {
  const setStatus = async (status: 'removed' | 'active') =>
    await chom.inventory.transaction(async (trx) => await servers.setStatus(trx, 'web1', status));
  const { checkCertificateNames } = certificateActivities(chom.deps);
  const { activities, done } = server();
  await setStatus('removed');
  const { row, waits } = await issue({
    activities: { ...activities, checkCertificateNames } as never,
    done,
    challenges: new Set(),
  });
  await setStatus('active');
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'NotFound' });
  expect(row.reason).toContain('has no server');
  expect({ waits, done, asked: fake.received }).toEqual({ waits: [], done: [], asked: [] });
});

test('refuses what is no plan before anything is done', async () => {
  plan = { ...plan, names: ['-rf.test; reboot'] };
  const made = server();
  const { row } = await issue(made);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'InvalidInput' });
  expect(made.done).toEqual([]);
  expect(fake.received).toEqual([]);
});
