import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { approveBatch, cancelBatch, pauseBatch, resumeBatch, retryBatch } from '../../src/client/batch-control.js';
import type { Chom } from '../../src/client/open.js';
import { sweep } from '../../src/client/sweep.js';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import { askBatch, batchWorld, statesOf, type BatchWorld } from './batch-world.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';

let chom: WorkflowEnvironment;
let world: BatchWorld;
/** As programs have it. */
let client: Chom;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
  const { inventory, keyring, config, temporal } = chom;
  client = {
    ...{ inventory, keyring, config },
    tenant: 'default',
    temporal: async () => temporal,
    close: async () => {},
  };
});
afterAll(async () => await chom?.close());
beforeEach(() => {
  world = batchWorld(chom);
});

const byId = async (id: string) => await batches.byId(chom.inventory.db, id);
const itemsOf = async (id: string) => await batchItems.list(chom.inventory.db, id);

/** Until its coordinator has ended; then its history is replayed. */
async function ended(id: string): Promise<batches.Batch> {
  await chom.temporal.workflow.getHandle(id).result();
  await chom.replayed(id, inject('scriptedBundle'));
  return await byId(id);
}

/** The same with a worker. */
const run = async (wanted: Parameters<typeof askBatch>[1]) =>
  await chom.withWorker(world, async () => await ended(await askBatch(chom, wanted)));

const eventsOf = async (operation: string) => await events.list(chom.inventory.db, { operation });

describe('a chain', () => {
  test('[JC-01] [JC-02] runs one operation after the other, and tells when it is complete', async () => {
    const items = ['a-1', 'b-2', 'a-3'];
    const { id, outcome } = await run({
      kind: 'chain',
      rules: { concurrency: 1 },
      items,
      then: ['c-then'],
      catch: ['c-catch'],
    });
    expect(outcome).toBe('succeeded');
    expect(world.begun).toEqual(['a-1', 'b-2', 'a-3', 'c-then']);
    expect(world.most.get('')).toBe(1);
    expect(await statesOf(chom, id)).toMatchObject({ 'c-then': 'succeeded', 'c-catch': 'skipped' });
    const rows = await itemsOf(id);
    expect(rows.map(({ operation }) => operation)).toEqual([`${id}/1`, `${id}/2`, `${id}/3`, `${id}/then1`, null]);
    expect(await eventsOf(`${id}/end-1`)).toMatchObject([
      { type: 'BatchEnded', data: { outcome: 'succeeded', kind: 'chain' } },
    ]);
  });

  test('[JC-04] when a link fails, the later ones do not run, and the handler for it does', async () => {
    world.fails.add('b-2');
    const handlers = { then: ['c-then'], catch: ['c-catch'], finally: ['c-finally'] };
    const items = ['a-1', 'b-2', 'a-3', 'a-4'];
    const { id, outcome } = await run({ kind: 'chain', rules: { concurrency: 1 }, items, ...handlers });
    expect(outcome).toBe('failed');
    expect(world.begun).toEqual(['a-1', 'b-2', 'c-catch', 'c-finally']);
    expect(await statesOf(chom, id)).toEqual({
      ...{ 'a-1': 'succeeded', 'b-2': 'failed', 'a-3': 'skipped', 'a-4': 'skipped' },
      ...{ 'c-then': 'skipped', 'c-catch': 'succeeded', 'c-finally': 'succeeded' },
    });
  });
});

describe('a batch', () => {
  test('[JC-06] runs many operations, never more than so many at once, in all and on each server', async () => {
    const items = ['a', 'b', 'c', 'd'].flatMap((server) => [1, 2, 3, 4, 5].map((n) => `${server}-${n}`));
    const releases = items.map((item) => world.hold(item));
    const id = await askBatch(chom, { rules: { concurrency: 5, perServer: 2 }, items });
    await chom.withWorker(world, async () => {
      await until('five are at work', () => world.begun.length === 5);
      for (const release of releases) release();
      expect(await ended(id)).toMatchObject({ outcome: 'succeeded' });
    });
    expect(world.done.toSorted()).toEqual(items.toSorted());
    expect(world.most.get('')).toBe(5);
    for (const server of ['a', 'b', 'c', 'd']) expect(world.most.get(server)).toBeLessThanOrEqual(2);
  });

  test('[JC-07] that succeeded calls its then, and [JC-09] its finally last', async () => {
    const { id, outcome } = await run({
      items: ['a-1', 'b-2'],
      then: ['c-then'],
      catch: ['c-catch'],
      finally: ['c-finally'],
    });
    expect(outcome).toBe('succeeded');
    expect(world.begun.slice(2)).toEqual(['c-then', 'c-finally']);
    expect(await statesOf(chom, id)).toMatchObject({ 'c-catch': 'skipped' });
  });

  test('[JC-08] the first failure calls its catch at once, the others go on, and [JC-09] its finally comes at the end', async () => {
    world.fails.add('a-1').add('b-2');
    const release = world.hold('c-3');
    const handlers = { then: ['x-then'], catch: ['x-catch'], finally: ['x-finally'] };
    const id = await askBatch(chom, { items: ['a-1', 'b-2', 'c-3'], ...handlers });
    await chom.withWorker(world, async () => {
      await until('its handler ran', () => world.done.includes('x-catch'));
      expect(world.begun).not.toContain('x-finally');
      release();
      expect(await ended(id)).toMatchObject({ outcome: 'partly' });
    });
    expect(world.begun.filter((name) => name === 'x-catch')).toHaveLength(1);
    expect(world.begun.at(-1)).toBe('x-finally');
    expect(await statesOf(chom, id)).toMatchObject({ 'x-then': 'skipped', 'x-finally': 'succeeded' });
  });

  test('of which nothing succeeded has failed; what is refused when it is asked for has failed without an operation', async () => {
    const { id, outcome } = await run({ rules: { concurrency: 1 }, items: ['a-refused', 'b-refused'] });
    expect(outcome).toBe('failed');
    expect((await itemsOf(id))[0]).toMatchObject({
      state: 'failed',
      failureType: 'Conflict',
      reason: 'a-refused is refused',
    });
    expect(await operations.find(chom.inventory.db, `${id}/1`)).toBeNull();
  });
});

describe('canaries', () => {
  const rules = { canary: { first: 2, waitMs: null } };
  const items = ['a-1', 'b-2', 'c-3', 'd-4'];
  const paused = async (id: string) =>
    await until('it is paused', async () => ((await byId(id)).state === 'paused' ? await byId(id) : null));

  test('go first, and the others wait for approval', async () => {
    const id = await askBatch(chom, { rules, items });
    await chom.withWorker(world, async () => {
      expect(await paused(id)).toMatchObject({ pausedBy: 'approval' });
      expect(world.done.toSorted()).toEqual(['a-1', 'b-2']);
      expect(await eventsOf(`${id}/pause-1`)).toMatchObject([{ type: 'BatchPaused', data: { by: 'approval' } }]);
      await approveBatch(client, id);
      expect(await ended(id)).toMatchObject({ outcome: 'succeeded' });
    });
    expect(world.done).toHaveLength(4);
  });

  test('that fail hold it up; retried, they go first again', async () => {
    world.fails.add('a-1');
    const id = await askBatch(chom, { rules, items });
    await chom.withWorker(world, async () => {
      expect(await paused(id)).toMatchObject({ pausedBy: 'canaries', reason: '1 of the first 2 failed' });
      await expect(approveBatch(client, id)).rejects.toMatchObject({ type: 'Conflict' });
      world.fails.clear();
      await retryBatch(client, id);
      await until('it waits', async () => (await byId(id)).pausedBy === 'approval');
      expect(world.done).toEqual(['b-2', 'a-1']);
      await approveBatch(client, id);
      expect(await ended(id)).toMatchObject({ outcome: 'succeeded', round: 2 });
    });
    expect((await itemsOf(id)).map(({ operation }) => operation)).toEqual([
      ...[`${id}/1-2`, `${id}/2`, `${id}/3-2`, `${id}/4-2`],
    ]);
  });

  test('are waited for, and the others follow by themselves', async () => {
    const { id, canaryUntil } = await run({ rules: { canary: { first: 2, waitMs: 1000 } }, items });
    const [, , after] = await itemsOf(id);
    expect(after?.startedAt ?? '').not.toBe('');
    expect((after?.startedAt ?? '') >= (canaryUntil ?? '9')).toBe(true);
    expect(world.done.slice(0, 2).toSorted()).toEqual(['a-1', 'b-2']);
  });
});

test('failures up to the threshold pause it; resumed they count no more, and what failed alone is retried', async () => {
  for (const name of ['a-1', 'a-2', 'a-4']) world.fails.add(name);
  const items = ['a-1', 'a-2', 'a-3', 'a-4', 'a-5'];
  const id = await askBatch(chom, {
    rules: { concurrency: 1, failures: { most: 2, percent: false } },
    items,
    finally: ['x-finally'],
  });
  await chom.withWorker(world, async () => {
    await until('it is paused', async () => (await byId(id)).pausedBy === 'failures');
    expect(world.begun).toEqual(['a-1', 'a-2']);
    const told = await eventsOf(`${id}/pause-1`);
    expect(told.map(({ type }) => type)).toEqual(['BatchPaused', 'Alert']);
    await resumeBatch(client, id);
    expect(await ended(id)).toMatchObject({ outcome: 'partly' });
    expect(world.done).toEqual(['a-3', 'a-5', 'x-finally']);
    world.fails.clear();
    world.begun.length = 0;
    await retryBatch(client, id);
    expect(await ended(id)).toMatchObject({ outcome: 'succeeded', round: 2 });
    await expect(retryBatch(client, id)).rejects.toMatchObject({ type: 'Conflict' });
  });
  expect(world.begun).toEqual(['a-1', 'a-2', 'a-4', 'x-finally']);
});

test('a paused one begins nothing more until it is resumed', async () => {
  const release = world.hold('a-1');
  const id = await askBatch(chom, { rules: { concurrency: 1 }, items: ['a-1', 'a-2'] });
  await chom.withWorker(world, async () => {
    await until('the first is at work', () => world.begun.length === 1);
    await pauseBatch(client, id);
    release();
    await until('the first has ended', async () => (await statesOf(chom, id))['a-1'] === 'succeeded');
    expect(await statesOf(chom, id)).toMatchObject({ 'a-2': 'pending' });
    await resumeBatch(client, id);
    expect(await ended(id)).toMatchObject({ outcome: 'succeeded' });
  });
});

describe('a cancelled one', () => {
  const wanted = { rules: { concurrency: 2 }, items: ['a-1', 'a-2', 'b-3'], finally: ['x-finally'] };

  test.each([
    ['by chom', async (id: string) => void (await cancelBatch(client, id))],
    ['in the Temporal UI', async (id: string) => void (await chom.temporal.workflow.getHandle(id).cancel())],
  ])('%s begins nothing more, has what is at work take back what it did, and calls its finally', async (_, cancel) => {
    const releases = ['a-1', 'a-2'].map((name) => world.hold(name));
    const id = await askBatch(chom, wanted);
    await chom.withWorker(world, async () => {
      await until('two are at work', () => world.begun.length === 2);
      await cancel(id);
      await until('they are told', async () => (await byId(id)).state === 'cancelling');
      for (const release of releases) release();
      expect(await ended(id)).toMatchObject({ outcome: 'cancelled' });
    });
    const states = await statesOf(chom, id);
    expect(states).toMatchObject({ 'b-3': 'cancelled', 'x-finally': 'succeeded' });
    // What ended well before it heard has succeeded.
    const two = ['a-1', 'a-2'];
    const stopped = two.filter((name) => states[name] === 'cancelled');
    expect(
      two
        .filter((name) => states[name] === 'succeeded')
        .concat(stopped)
        .toSorted(),
    ).toEqual(two);
    expect(world.takenBack.filter((name) => two.includes(name)).toSorted()).toEqual(stopped);
    expect(world.begun).not.toContain('b-3');
  });
});

describe('its coordinator', () => {
  test('that nobody started is started by the sweep', async () => {
    const id = await askBatch(chom, { items: ['a-1'] });
    await chom.temporal.workflow.getHandle(id).terminate();
    const lost = id.replace('batch-', 'batch-lost');
    await chom.inventory.transaction(async (trx) => {
      await trx.updateTable('batches').set({ id: lost }).where('id', '=', id).execute();
      await trx.updateTable('batchItems').set({ batch: lost }).where('batch', '=', id).execute();
    });
    expect((await sweep(chom)).coordinated).toContain(lost);
    await chom.withWorker(world, async () => {
      expect(await ended(lost)).toMatchObject({ outcome: 'succeeded' });
    });
    expect((await sweep(chom)).coordinated).not.toContain(lost);
  });

  test('that somebody terminated pauses it, and leaves what is at work; resumed it goes on where it was', async () => {
    const release = world.hold('a-1');
    const id = await askBatch(chom, { rules: { concurrency: 1 }, items: ['a-1', 'a-2'] });
    await chom.withWorker(world, async () => {
      await until('the first is at work', () => world.begun.length === 1);
      await chom.temporal.workflow.getHandle(id).terminate();
      expect((await sweep(chom)).coordinated).toContain(id);
      expect(await byId(id)).toMatchObject({ state: 'paused', pausedBy: 'terminated' });
      release();
      await chom.temporal.workflow.getHandle(`${id}/1`).result();
      expect(world.begun).toEqual(['a-1']);
      await resumeBatch(client, id);
      expect(await ended(id)).toMatchObject({ outcome: 'succeeded' });
    });
    expect(world.begun).toEqual(['a-1', 'a-2']);
  });
});
