import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { serverActivities } from '../../src/activities/server.js';
import { fence } from '../../src/activities/workplace.js';
import { newOperationId, randomId, submit } from '../../src/client/submit.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import { serverPlan } from '../../src/workflows/plans.js';
import type { Progress } from '../../src/workflows/progress.js';
import type { StepContext } from '../../src/workflows/step.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { timersOf } from './timers.js';

type Steps = Partial<ReturnType<typeof serverActivities>>;

const FINGERPRINT = `SHA256:${'A'.repeat(43)}`;
const OFFERED = { hostKey: 'ssh-ed25519 AAAA', fingerprint: FINGERPRINT, confirmed: false };

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom.close());

/** The product's steps as they go on a server that shows a host key which nobody has confirmed, and their order. */
function steps() {
  const done: string[] = [];
  const note =
    <Result>(name: string, result: Result) =>
    async (_step: StepContext): Promise<Result> => {
      done.push(name);
      return result;
    };
  const made: Steps = {
    learnHostKey: note('learnHostKey', OFFERED),
    async pinHostKey(step, plan, { hostKey, fingerprint }) {
      const pin = { hostKey, fingerprint };
      await chom.inventory.fenced(fence(step), async (trx) => await servers.pinHostKey(trx, plan.server, pin));
      done.push('pinHostKey');
    },
    checkServer: note('checkServer', { warnings: [] }),
    makeServerKey: note('makeServerKey', { credential: 'key', warnings: [] }),
    installServerKey: note('installServerKey', undefined),
    proveServerKey: note('proveServerKey', undefined),
    installPackages: note('installPackages', undefined),
    bootstrapNginx: note('bootstrapNginx', { warnings: [] }),
    bootstrapPhp: note('bootstrapPhp', undefined),
    bootstrapMariadb: note('bootstrapMariadb', { warnings: [] }),
    async activateServer(step) {
      await chom.inventory.fenced(fence(step), (trx) => operations.commitOperation(trx, step.operation));
      done.push('activateServer');
    },
  };
  return { done, made };
}

/** Enrols a server of its own, and does `then` once it has asked for its host key. */
async function enrol(then: (operation: string) => Promise<unknown>) {
  const { done, made } = steps();
  const [server, name] = [`srv-${randomId(9)}`, `web-${randomId(5)}`];
  const login = { tenant: 'default', name, address: '192.0.2.1', port: 22, user: 'root' };
  await chom.inventory.transaction(async (trx) => void (await servers.add(trx, { id: server, ...login })));
  const id = newOperationId('enrol-server');
  const input = serverPlan.parse({ server, ...login, hostKey: null });
  const asked = { kind: 'enrol-server', input, summary: 'enrol', tenant: 'default', server, serverName: name } as const;
  await submit(chom, { ...asked, exclusive: true }, id);
  const handle = chom.temporal.workflow.getHandle(id);
  const problem = await chom.withWorker(made, async () => {
    await until('the question', async () => (await handle.query<Progress>('progress')).question);
    await then(id);
    return await handle.result().then(
      () => null,
      (error: { cause: unknown }) => error.cause,
    );
  });
  const history = await chom.replayed(id);
  const waits = timersOf(history);
  const [row, known] = [await operations.byId(chom.inventory.db, id), await servers.byId(chom.inventory.db, server)];
  return { id, name, problem, done, waits, row, known };
}

const answer = (value: string) => async (id: string) =>
  await chom.temporal.workflow.getHandle(id).signal('answer', 'host-key', value);

/** Of the clock that watches for twice the expected 10 minutes. */
const CLOCK = 1200;

test.each([
  ['nobody answers within 15 minutes', async () => {}, 'Nobody answered within 15 minutes'],
  ['it is refused', answer(''), 'It was refused'],
  ['another one is confirmed', answer(`SHA256:${'B'.repeat(43)}`), 'It was refused'],
])('a host key is not trusted where %s, and nothing comes of it', async (_, then, cause) => {
  const { id, name, problem, done, waits, row, known } = await enrol(then);
  expect(waits).toEqual([CLOCK, 900]);
  const message = `The host key of ${name} was not confirmed: ${FINGERPRINT}`;
  expect(problem).toMatchObject({ type: 'HostKeyUnconfirmed', message });
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'HostKeyUnconfirmed', reason: message, warnings: [] });
  expect(row.details).toMatchObject({ server: name, cause, next: `chom server add ${name} --host-key SHA256:…` });
  expect(done).toEqual(['learnHostKey']);
  expect(known).toMatchObject({ status: 'failed', hostKey: null, hostKeyFingerprint: null });
  expect(await credentials.list(chom.inventory.db, known.id)).toEqual([]);
  expect(await places.find(chom.inventory.db, id)).toBeNull();
});

test('a host key that is confirmed is pinned before anybody logs in, and the server is enrolled', async () => {
  const { problem, done, row, known } = await enrol(answer(FINGERPRINT));
  expect(problem).toBeNull();
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(done.slice(0, 3)).toEqual(['learnHostKey', 'pinHostKey', 'checkServer']);
  expect(done.at(-1)).toBe('activateServer');
  expect(known).toMatchObject({ hostKey: OFFERED.hostKey, hostKeyFingerprint: FINGERPRINT });
});

test('an enrolment that was overtaken by another address before it had its place connects to neither', async () => {
  const { done, made } = steps();
  const { learnHostKey } = serverActivities(chom.deps);
  const [server, name] = [`srv-${randomId(9)}`, `web-${randomId(5)}`];
  const login = { tenant: 'default', name, port: 22, user: 'root' };
  const add = async (address: string) =>
    await chom.inventory.transaction(async (trx) => void (await servers.add(trx, { id: server, address, ...login })));
  await add('192.0.2.1');
  const input = serverPlan.parse({ server, ...login, address: '192.0.2.1', hostKey: FINGERPRINT });
  // Another `chom server add` of that name, in the moment between.
  await add('192.0.2.2');
  const id = newOperationId('enrol-server');
  const asked = { kind: 'enrol-server', input, summary: 'enrol', tenant: 'default', server, serverName: name } as const;
  await submit(chom, { ...asked, exclusive: true }, id);
  await chom.withWorker({ ...made, learnHostKey }, async () => {
    await expect(chom.temporal.workflow.getHandle(id).result()).rejects.toThrow();
  });
  await chom.replayed(id);
  const row = await operations.byId(chom.inventory.db, id);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Conflict' });
  expect(row.details).toMatchObject({ server: name, cause: expect.stringContaining('root@192.0.2.2:22') as string });
  expect(done).toEqual([]);
});
