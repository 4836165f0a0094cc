import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { certificateActivities } from '../../src/activities/certificate.js';
import { renewDue } from '../../src/client/renewals.js';
import { randomId } from '../../src/client/submit.js';
import { sweep } from '../../src/client/sweep.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as renewals from '../../src/inventory/renewals.js';
import { renewalId } from '../../src/inventory/renewal-tries.js';
import * as sites from '../../src/inventory/sites.js';
import { type FakeAuthority, problem, willingAuthority } from '../activities/fake-authority.js';
import { selfSigned } from '../activities/self-signed.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { certificateServer } from './certificate-server.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { timersOf } from './timers.js';

const CLOCK = 240;
const DAY = 86_400_000;
let chom: WorkflowEnvironment;
let fake: FakeAuthority;
let site: string;
let domain: string;

beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  await chom.inventory.transaction(async (trx) => void (await activeServer(trx, 'web1')));
});
afterAll(async () => await chom?.close());

/** A live site whose certificate of 90 days is 61 days old. */
beforeEach(async () => {
  site = `s${randomId(9)}`;
  domain = `${site}.test`;
  fake = await willingAuthority(domain);
  await chom.inventory.transaction(async (trx) => {
    await sites.reserve(trx, sitePlan(site, domain), 'provision-site');
    await sites.activate(trx, site);
    const [notBefore, notAfter] = [-61, 29].map((days) => new Date(Date.now() + days * DAY).toISOString());
    const life = { notBefore: notBefore ?? '', notAfter: notAfter ?? '' };
    const facts = { serial: '01', fingerprint: `old ${site}`, issuer: 'CN=Test', ...life };
    const chain = (await selfSigned([domain], 90)).cert;
    const { id } = await certificates.record(trx, { ...facts, id: `old-${site}`, site, names: [domain], chain });
    await certificates.markInstalled(trx, id);
  });
});
afterEach(async () => {
  await chom.inventory.transaction(async (trx) => await sites.setStatus(trx, site, 'removed'));
  await fake.close();
});

const owed = async () => (await renewals.list(chom.inventory.db, { site }))[0];
const eventTypes = async (operation: string) =>
  (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);

/** Sweeps once, and runs what that asks for to its end. */
async function swept(made = certificateServer([domain])) {
  const config = { ...chom.config, acmeDirectory: fake.directory };
  const activities = { ...certificateActivities({ ...chom.deps, config }), ...made.activities };
  const [id = ''] = await chom.withWorker(activities, async () => {
    const asked = await renewDue(chom, Date.now());
    for (const one of asked) {
      const handle = chom.temporal.workflow.getHandle(one);
      await handle.result().catch(() => undefined);
    }
    return asked;
  });
  const row = await operations.byId(chom.inventory.db, id);
  const waits = timersOf(await chom.replayed(id)).filter((seconds) => seconds !== CLOCK);
  return { id, row, waits, made };
}

test('is asked for by the sweep, for a certificate that is older than renewals too, and once', async () => {
  const { id, row } = await swept();
  expect(id).toBe(renewalId(site, 1));
  expect(row).toMatchObject({ kind: 'issue-certificate', outcome: 'succeeded', committed: true, priority: 'low' });
  expect(await certificates.installed(chom.inventory.db, site)).toMatchObject({ authority: fake.directory });
  // 45 days, renewed at 30.
  const next = Date.parse((await owed())?.due ?? '');
  expect(Math.abs(next - (Date.now() + 30 * DAY))).toBeLessThan(DAY);
  const { renewing } = await sweep(chom);
  expect(renewing).toEqual([]);
});

test('that the authority refuses for half a day is one order, and is due when the authority says', async () => {
  const until = new Date(Date.now() + 43_200_000).toUTCString();
  fake.next(
    'newOrder',
    problem(429, 'rateLimited', 'too many', { 'retry-after': until, date: new Date().toUTCString() }),
  );
  const { id, row, waits } = await swept();
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'RateLimited' });
  expect(waits).toEqual([]);
  expect(await eventTypes(id)).toEqual(['CertificateFailed', 'Alert']);
  expect(fake.posts('newOrder')).toHaveLength(1);
  const later = await owed();
  expect(later).toMatchObject({ failures: 1, failureType: 'RateLimited', certificate: `old-${site}` });
  const next = Date.parse(renewals.nextTry(later as renewals.Owed) ?? '');
  expect(Math.abs(next - (Date.now() + 43_200_000))).toBeLessThan(60_000);
  expect(await renewDue(chom, Date.now() + 43_000_000)).toEqual([]);
  expect(await certificates.installed(chom.inventory.db, site)).toMatchObject({ id: `old-${site}` });
});

test.each([
  ['validates badly', 'ValidationFailed'],
  ['fails', 'AuthorityError'],
])('at an authority that %s is one order, and is tried again in a minute', async (_, type) => {
  if (type === 'ValidationFailed') {
    fake.state.validation = 'invalid';
    fake.state.challengeError = { type: 'urn:ietf:params:acme:error:connection', detail: 'Timeout' };
  } else {
    fake.next('newOrder', problem(500, 'serverInternal', 'out of order'));
  }
  const { row, waits, made } = await swept();
  expect(row).toMatchObject({ outcome: 'failed', failureType: type });
  expect(waits.filter((seconds) => seconds >= 60)).toEqual([]);
  expect(fake.posts('newOrder')).toHaveLength(1);
  expect(made.challenges.size).toBe(0);
  const next = Date.parse((await owed())?.due ?? '') - Date.now();
  expect(next).toBeGreaterThan(0);
  expect(next).toBeLessThan(70_000);
});

test('whose authority dies between finalize and download is taken up by the next try, and one certificate is the site’s', async () => {
  fake.next('cert', 'lost');
  const first = await swept();
  expect(first.row).toMatchObject({ outcome: 'failed', failureType: 'AuthorityUnreachable' });
  expect(first.made.done.at(-1)).toBe('discardCertificate');
  expect(await certificates.installed(chom.inventory.db, site)).toMatchObject({ id: `old-${site}` });
  await chom.inventory.transaction(async (trx) => await renewals.hasten(trx, site, new Date().toISOString()));
  const second = await swept();
  expect(second.id).toBe(renewalId(site, 2));
  expect(second.row).toMatchObject({ outcome: 'succeeded' });
  const all = await certificates.list(chom.inventory.db, { site });
  expect(all.map(({ state }) => state).toSorted()).toEqual(['installed', 'replaced']);
  expect(await owed()).toMatchObject({ failures: 0, failureType: null });
});

test('at an authority that forgot our account makes it again, with the same key', async () => {
  await swept();
  fake.state.accountKnown = false;
  await chom.inventory.transaction(async (trx) => await renewals.hasten(trx, site, new Date().toISOString()));
  fake.state.certificate = (await selfSigned([domain], 46)).cert;
  const { row } = await swept();
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining('had forgotten our account')] });
  expect(fake.accountKeys.size).toBe(1);
});

test('never takes a certificate that ends sooner than the one it is to replace', async () => {
  fake.state.certificate = (await selfSigned([domain], 10)).cert;
  const { row } = await swept();
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'CertificateRefused' });
  expect(await certificates.installed(chom.inventory.db, site)).toMatchObject({ id: `old-${site}` });
  expect(await owed()).toMatchObject({ failures: 1 });
});
