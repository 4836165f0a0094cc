import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { probeActivities } from '../../src/activities/probe.js';
import { siteActivities } from '../../src/activities/site.js';
import { newOperationId, randomId, submit } from '../../src/client/submit.js';
import { EXIT } from '../../src/host/exit-codes.js';
import type { Host, Job } from '../../src/host/host.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { SitePlan } from '../../src/workflows/plans.js';
import type { StepContext } from '../../src/workflows/step.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { timersOf } from './timers.js';

type Steps = ReturnType<typeof siteActivities> & ReturnType<typeof probeActivities>;

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom.close());

/** The product's steps, typed as they are; `publish` is what publishing does, and `done` what was done in order. */
function steps(publish: (attempt: number) => void) {
  const done: string[] = [];
  const note =
    (name: string) =>
    async (_step: StepContext): Promise<void> => {
      done.push(name);
    };
  const made: Steps = {
    reserveSite: note('reserveSite'),
    createUser: note('createUser'),
    removeUser: note('removeUser'),
    installFiles: note('installFiles'),
    forgetFiles: note('forgetFiles'),
    startPhp: note('startPhp'),
    stopPhp: note('stopPhp'),
    async publishSite(step) {
      publish(step.attempt);
      done.push('publishSite');
      return 'version';
    },
    unpublishSite: note('unpublishSite'),
    seeSite: note('seeSite'),
    async activateSite(step) {
      const { operation, epoch } = step;
      const run = (await operations.byId(chom.inventory.db, operation)).run ?? '';
      await chom.inventory.fenced({ operation, run, epoch }, (trx) => operations.commitOperation(trx, operation));
      done.push('activateSite');
      return { warnings: [] };
    },
  };
  return { done, made };
}

const site = (): SitePlan => ({
  ...{ site: `s${randomId(9)}`, tenant: 'default', server: randomId(9), serverName: 'web1', domain: 'www.example.org' },
  ...{ aliases: [], type: 'php', php: '8.4', tls: false, source: { kind: 'placeholder' } },
});

async function provision(publish: (attempt: number) => void, own: Partial<Steps> = {}, plan = site()) {
  const { done, made } = steps(publish);
  const id = newOperationId('provision-site');
  const { tenant, server, serverName, domain } = plan;
  const request = { kind: 'provision-site', input: plan, summary: 'provision', tenant, server, serverName } as const;
  await submit(chom, { ...request, site: plan.site, domain }, id);
  await chom.withWorker({ ...made, ...own }, async () => {
    await chom.temporal.workflow
      .getHandle(id)
      .result()
      .catch(() => undefined);
  });
  const history = await chom.replayed(id);
  const waits = timersOf(history);
  return { id, done, waits, row: await operations.byId(chom.inventory.db, id) };
}

/** Of the clock that watches for twice the expected 90 seconds. */
const CLOCK = 180;

test('[PS-09] tries again after an error that nobody thought of, [PS-02] 60 seconds later', async () => {
  const { done, waits, row } = await provision((attempt) => {
    if (attempt < 3) throw new TypeError('nobody thought of this');
  });
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(waits).toEqual([CLOCK, 60, 60]);
  expect(done).toEqual([
    'reserveSite',
    'createUser',
    'installFiles',
    'startPhp',
    'publishSite',
    'seeSite',
    'activateSite',
  ]);
});

test('[PS-02] has 3 attempts, and then goes back step by step', async () => {
  const { id, done, waits, row } = await provision(() => {
    throw new TypeError('never gets better');
  });
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Unexpected' });
  expect(waits).toEqual([CLOCK, 60, 60]);
  const forward = ['reserveSite', 'createUser', 'installFiles', 'startPhp'];
  expect(done).toEqual([...forward, 'unpublishSite', 'stopPhp', 'forgetFiles', 'removeUser']);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  expect(emitted).toEqual(['SiteProvisioningFailed', 'Alert']);
});

test('a uid that its server gave to another site before ends it at once, and says that the inventory is an old copy', async () => {
  const plan = { ...site(), php: null, type: 'static' as const };
  const { server: id, serverName: name, tenant } = plan;
  await chom.inventory.transaction(async (trx) => {
    await servers.add(trx, { id, tenant, name, address: '192.0.2.7', port: 22, user: 'root' });
    await servers.setStatus(trx, id, 'active');
  });
  const jobs: string[] = [];
  const host: Partial<Host> = {
    name,
    async job({ step }: Job) {
      jobs.push(step.split('/')[1] ?? '');
      const refused = step.includes('create-user');
      const stderr = refused ? 'uid 20000 was given to site sbeforeaaa before\n' : '';
      return { exit: refused ? EXIT.uidUsed : 0, stdout: '', stderr, already: false, milliseconds: 1 };
    },
    stop: async () => {},
  };
  const hosts = { ...chom.deps.hosts, for: async () => host as Host };
  const { reserveSite, createUser, removeUser } = siteActivities({ ...chom.deps, hosts });
  const { row, waits, done } = await provision(() => {}, { reserveSite, createUser, removeUser }, plan);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Conflict', warnings: [] });
  expect(row.reason).toContain(`Uid 20000 on ${name} belonged to another site`);
  expect(row.details).toMatchObject({
    server: name,
    cause: expect.stringContaining('old copy') as string,
    next: `chom server adopt ${name} --confirm ${name}`,
  });
  expect([waits, done, jobs]).toEqual([[CLOCK], [], ['create-user-20000', 'remove-user']]);
  expect((await sites.byId(chom.inventory.db, plan.site)).status).toBe('failed');
});
