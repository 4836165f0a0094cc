import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { certificateActivities } from '../../src/activities/certificate.js';
import { statusOf } from '../../src/client/operation.js';
import { tellSite } from '../../src/client/site-document.js';
import { newOperationId, randomId, submit } from '../../src/client/submit.js';
import { sweep } from '../../src/client/sweep.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import { CERTIFICATE, UNDO, type CertificatePlan } from '../../src/workflows/plans.js';
import type { StepContext } from '../../src/workflows/step.js';
import { type FakeAuthority, problem, willingAuthority } from '../activities/fake-authority.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { certificateServer } from './certificate-server.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';

const HALF_A_DAY = 43_200;
let chom: WorkflowEnvironment;
let fake: FakeAuthority;
let site: string;
let domain: string;

beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'), 'real');
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
  });
});
afterAll(async () => await chom?.close());
beforeEach(async () => {
  site = `s${randomId(9)}`;
  domain = `${site}.test`;
  fake = await willingAuthority(domain);
  fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': String(HALF_A_DAY) }));
});
afterEach(async () => await fake.close());

const result = async (id: string) => await chom.temporal.workflow.getHandle(id).result();
const row = async (id: string) => await operations.byId(chom.inventory.db, id);

/** The product's certificate steps at the fake authority; all others of a new site go well. */
function steps() {
  const made = certificateServer([domain]);
  const config = { ...chom.config, acmeDirectory: fake.directory };
  const certificate = certificateActivities({ ...chom.deps, config });
  const fine = async () => undefined;
  const names = ['createUser', 'installFiles', 'publishSite', 'seeSite'];
  return {
    ...certificate,
    ...made.activities,
    // What the product asks first, without DNS and a server.
    checkCertificateNames: async (step: StepContext, plan: CertificatePlan) =>
      (await tries.isVoid(chom.inventory.db, step.operation))
        ? await certificate.checkCertificateNames(step, plan)
        : await made.activities.checkCertificateNames(),
    ...Object.fromEntries(names.map((name) => [name, fine])),
    reserveSite: async (step: StepContext) =>
      await chom.inventory.transaction(
        async (trx) => void (await sites.reserve(trx, sitePlan(site, domain, { tls: true }), step.operation)),
      ),
    activateSite: async ({ operation, epoch }: StepContext) => {
      const { run } = await row(operation);
      await chom.inventory.fenced({ operation, run: run ?? '', epoch }, async (trx) => {
        await sites.activate(trx, site);
        await operations.commitOperation(trx, operation);
      });
    },
  };
}

/** A site that is live, and whose certificate is owed. */
async function provisioned() {
  const id = newOperationId('provision-site');
  const plan = sitePlan(site, domain, { tls: true });
  const { tenant, server, serverName } = plan;
  const request = { kind: 'provision-site', input: plan, summary: 'a site', tenant, server, serverName } as const;
  await submit(chom, { ...request, site, domain }, id);
  await result(id);
  const child = `${id}/certificate`;
  const [owed] = await obligations.ofOperation(chom.inventory.db, child);
  if (!owed) throw new Error('nothing is owed');
  return { id, child, owed };
}

test('inside another operation a long wait is owed, tried once when it is due, and done with the outcome', async () => {
  await chom.withWorker(steps(), async () => {
    const before = Date.now();
    const { id, child, owed } = await provisioned();
    const due = Date.parse(owed.due);
    expect(due).toBeGreaterThanOrEqual(before + HALF_A_DAY * 1000);
    expect(due).toBeLessThanOrEqual(Date.now() + HALF_A_DAY * 1000);
    expect(owed).toMatchObject({ name: CERTIFICATE, state: 'open', targets: { site, names: [domain] } });
    expect(await row(child)).toMatchObject({ outcome: 'failed', failureType: 'Deferred' });
    expect(statusOf(await row(child))).toBe('deferred');
    const parent = await row(id);
    expect(parent.outcome).toBe('succeeded');
    expect(parent.warnings).toEqual([expect.stringContaining(`issue-certificate: Deferred until ${owed.due}`)]);
    const emitted = await events.list(chom.inventory.db, { operation: child });
    expect(emitted.map(({ type }) => type)).toEqual(['OperationDeferred']);
    const told = async () => (await tellSite(chom.inventory.db, await sites.byId(chom.inventory.db, site))).text;
    expect(await told()).toContain(`certificate is tried again at ${owed.due}`);

    expect((await sweep(chom, due - 1)).tried).toEqual([]);
    const swept = await Promise.all([sweep(chom, due), sweep(chom, due)]);
    const tried = tries.tryId(owed, 1);
    expect(new Set(swept.flatMap((one) => one.tried))).toEqual(new Set([tried]));
    await result(tried);
    expect(await row(tried)).toMatchObject({ outcome: 'succeeded', priority: 'low', committed: true, warnings: [] });
    expect(await obligations.find(chom.inventory.db, owed)).toMatchObject({ state: 'done', tries: 1 });
    expect(await certificates.installed(chom.inventory.db, site)).not.toBeNull();
    expect(await told()).not.toContain('tried again');
    expect((await sweep(chom, due + 86_400_000)).tried).toEqual([]);
    expect(fake.posts('newOrder')).toHaveLength(2);
    for (const made of [id, child, tried]) await chom.replayed(made);
  });
});

test('is owed no more once the certificate came otherwise, and a try on its way does nothing', async () => {
  await chom.withWorker(steps(), async () => {
    const { child, owed } = await provisioned();
    // Taken back later, it would take the other one's TLS along.
    const left = { operation: child, name: UNDO, targets: {}, due: owed.due };
    await chom.inventory.transaction(async (trx) => await obligations.add(trx, left));
    const tried = await chom.inventory.transaction(async (trx) => await tries.next(trx, owed, owed.due));
    const input = { site, tenant: 'default', server: 'web1', serverName: 'web1', names: [domain] };
    const request = { kind: 'issue-certificate', input, summary: 'a certificate', ...input } as const;
    const byHand = await submit(chom, request);
    await result(byHand);
    const states = (await obligations.ofOperation(chom.inventory.db, child)).map(({ name, state }) => [name, state]);
    expect(states).toEqual([
      [CERTIFICATE, 'void'],
      [UNDO, 'void'],
    ]);
    await submit(chom, request, tried ?? '');
    await result(tried ?? '');
    expect(await row(tried ?? '')).toMatchObject({ outcome: 'succeeded', committed: false });
    expect((await row(tried ?? '')).warnings).toEqual(['What it was to try again is owed no more']);
    expect(fake.posts('newOrder')).toHaveLength(2);
    for (const made of [byHand, tried ?? '']) await chom.replayed(made);
  });
});
