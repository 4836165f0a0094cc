import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newOperationId, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as undos from '../../src/inventory/undos.js';
import { failure } from '../../src/workflows/failures.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import type { Script } from './scripted.js';
import { plain, request, world, type World } from './world.js';
import { timersOf } from './timers.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'));
});
afterAll(async () => await chom.close());

async function run(steps: Script['steps'], activities: World, bugBefore: number | null = null) {
  const id = await submit(chom, request(steps, bugBefore));
  const ended = await chom.withWorker(activities, async () => {
    const result = chom.temporal.workflow.getHandle(id).result();
    return await result.then(
      () => null,
      (error: unknown) => error,
    );
  });
  const row = await operations.byId(chom.inventory.db, id);
  const history = await chom.replayed(id);
  return { id, row, ended, history };
}

test('runs its steps in order and records one outcome', async () => {
  const steps = [plain('one'), plain('two', { when: false }), plain('three'), plain('commit', { final: true })];
  const made = world(chom, () => null);
  const { row, id, ended } = await run(steps, made);
  expect(ended).toBeNull();
  expect(made.done).toEqual(['one', 'three', 'commit']);
  expect(made.takenBack).toEqual([]);
  expect(row).toMatchObject({ outcome: 'succeeded', state: 'ended', committed: true, failureType: null });
  expect(await places.find(chom.inventory.db, id)).toBeNull();
});

test('counts attempts itself, with a visible wait between them', async () => {
  const made = world(chom, (name, attempt) => (name === 'two' && attempt < 3 ? 'Unreachable' : null));
  const { row, history } = await run([plain('one'), plain('two')], made);
  expect(row.outcome).toBe('succeeded');
  expect(made.tries).toEqual({ one: 1, two: 3 });
  const waits = timersOf(history);
  // The first is the clock that watches for twice the expected hour.
  expect(waits).toEqual([7200, 60, 60]);
});

test('that takes more than twice as long as expected tells so at its end, also where it succeeds', async () => {
  const made = world(chom, () => null);
  const act = made.act.bind(made);
  made.act = async (step, name) => {
    const tried = made.tries[name] ?? 0;
    // Its own backoff would not take so long.
    if (tried < 2) {
      made.tries[name] = tried + 1;
      throw failure('Unreachable', 'web1 does not answer', { retryAfterSeconds: 3600 });
    }
    return await act(step, name);
  };
  const { row, id } = await run([plain('one'), plain('commit', { final: true })], made);
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
  const emitted = await events.list(chom.inventory.db, { operation: id });
  expect(emitted.map(({ type, data }) => [type, data])).toEqual([['OperationOverdue', { kind: 'provision-site' }]]);
});

test('shares the budget of attempts between its steps, then undoes in reverse', async () => {
  const made = world(chom, (name, attempt) => {
    if (name === 'one') return attempt < 2 ? 'Unreachable' : null;
    return name === 'three' ? 'DiskFull' : null;
  });
  const { row, id, ended } = await run([plain('one'), plain('two'), plain('three')], made);
  expect(made.tries).toEqual({ one: 2, two: 1, three: 2 });
  expect(made.takenBack).toEqual(['three', 'two', 'one']);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'DiskFull', reason: 'three fails' });
  expect(ended).toBeInstanceOf(WorkflowFailedError);
  expect((ended as WorkflowFailedError).cause).toMatchObject({ type: 'DiskFull', message: 'three fails' });
  const emitted = await events.list(chom.inventory.db, { operation: id });
  expect(emitted.map(({ type }) => type)).toEqual(['SiteProvisioningFailed', 'Alert']);
  expect(await undos.remaining(chom.inventory.db, id)).toBe(0);
});

test('does not try again what cannot get better', async () => {
  const made = world(chom, (name) => (name === 'two' ? 'Conflict' : null));
  const { row } = await run([plain('one'), plain('two', { undo: false })], made);
  expect(made.tries).toEqual({ one: 1, two: 1 });
  expect(made.takenBack).toEqual(['one']);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Conflict' });
});

test('makes a defect in workflow code a failure: undone and recorded, not retried for ever', async () => {
  const made = world(chom, () => null);
  const { row, ended } = await run([plain('one'), plain('two')], made, 1);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'Bug' });
  expect(made.takenBack).toEqual(['one']);
  expect((ended as WorkflowFailedError).cause).toMatchObject({ type: 'Bug' });
});

test('never undoes what has taken effect', async () => {
  const made = world(chom, (name) => (name === 'after' ? 'Conflict' : null));
  const { row } = await run([plain('one'), plain('commit', { final: true }), plain('after')], made);
  expect(made.takenBack).toEqual([]);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, failureType: 'Conflict' });
  expect(row.warnings).toEqual(['after fails']);
});

test('names what could not be undone', async () => {
  const made = world(chom, (name) => (name === 'two' ? 'Conflict' : null));
  const takeBack = made.takeBack.bind(made);
  made.takeBack = async (step, name) => {
    if (name === 'one') throw failure('CommandFailed', 'the server refuses');
    await takeBack(step, name);
  };
  const { row, id } = await run([plain('one'), plain('two')], made);
  expect(made.takenBack).toEqual(['two']);
  expect(row.warnings).toEqual(['Not undone: one: the server refuses']);
  expect(await undos.remaining(chom.inventory.db, id)).toBe(1);
});

test('that may not wait is refused where a place is taken, naming who has it', async () => {
  const first = { ...request([plain('one')]), site: 'sabcdefghi' };
  const holder = await submit(chom, first);
  await expect(submit(chom, { ...first, wait: false })).rejects.toMatchObject({ type: 'Busy', details: [{ holder }] });
  const made = world(chom, () => null);
  await chom.withWorker(made, async () => await chom.temporal.workflow.getHandle(holder).result());
  expect((await operations.byId(chom.inventory.db, holder)).outcome).toBe('succeeded');
});

test('[SE-03] refuses an input that is too large, with nothing written and nothing sent', async () => {
  const id = newOperationId('provision-site');
  const oversized = request([plain('x'.repeat(300_000))]);
  await expect(submit(chom, oversized, id)).rejects.toMatchObject({
    type: 'InvalidInput',
    message: expect.stringMatching(/^The input of provision-site has 300\d\d\d bytes, and may have 262144$/),
  });
  expect(await operations.find(chom.inventory.db, id)).toBeNull();
  await expect(chom.temporal.workflow.getHandle(id).describe()).rejects.toThrow('not found');
});

test('refuses an order that is for another operation', async () => {
  const id = newOperationId('provision-site');
  const { kind, input, tenant, server } = request([plain('one')]);
  await chom.inventory.transaction(async (trx) => {
    const where = { cluster: 'test', namespace: 'default', tenant, server, site: null };
    await operations.ask(trx, chom.keyring, { id, kind, input, ...where });
  });
  const { temporal, config } = chom;
  const made = world(chom, () => null);
  const args = [{ operation: 'provision-site-another', input }];
  await temporal.workflow.start('provisionSite', { workflowId: id, taskQueue: config.taskQueue, args });
  await chom.withWorker(made, async () => {
    await expect(temporal.workflow.getHandle(id).result()).rejects.toMatchObject({ cause: { type: 'Forbidden' } });
  });
  expect(made.done).toEqual([]);
  expect(await operations.byId(chom.inventory.db, id)).toMatchObject({ outcome: 'failed', failureType: 'Forbidden' });
});
