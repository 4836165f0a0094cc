import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { cancelOperation } from '../../src/client/cancel.js';
import type { Chom } from '../../src/client/open.js';
import { submit, type Request } from '../../src/client/submit.js';
import { wakeForgotten } from '../../src/client/sweep.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { plain, request, world, type World } from './world.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => await chom.close());

/** Steps of which those called `hold…` wait for the test. */
function held(): World & { letGo: () => void } {
  const made = world(chom, () => null);
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const { act } = made;
  return {
    ...made,
    letGo,
    async act(step, name) {
      if (name.startsWith('hold')) await gate;
      return await act(step, name);
    },
  };
}

const state = async (id: string) => (await operations.byId(chom.inventory.db, id)).state;
const result = async (id: string) => await chom.temporal.workflow.getHandle(id).result();
const onSite = (site: string, name: string): Request => ({ ...request([plain(name)]), server: 'web', site });

/** One that works until it is let go, and one behind it that has begun to wait. */
async function two(site: string): Promise<[string, string]> {
  const first = await submit(chom, onSite(site, 'hold'));
  const second = await submit(chom, onSite(site, 'one'));
  await until('the second waits', async () => (await state(second)) === 'waiting');
  return [first, second];
}

test('waits for the one before it and goes on when that has ended, without looking', async () => {
  const made = held();
  await chom.withWorker(made, async () => {
    const [first, second] = await two('swaits');
    made.letGo();
    await Promise.all([result(first), result(second)]);
    const history = await chom.replayed(second);
    const signals = (history.events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes);
    expect(signals).toHaveLength(1);
    await chom.replayed(first);
  });
  expect(made.done).toEqual(['hold', 'one']);
});

test('finds its place also when the message that it has it is lost', async () => {
  const made = world(chom, () => null);
  // Somebody at work whose end nobody tells of.
  const other = { tenant: 'default', server: 'web', site: 'slost', priority: 'default', exclusive: false } as const;
  await chom.inventory.transaction(async (trx) => await places.enter(trx, { root: 'other', ...other }));
  await chom.withWorker(made, async () => {
    const id = await submit(chom, onSite('slost', 'one'));
    await until('it waits', async () => (await state(id)) === 'waiting');
    await chom.inventory.transaction(async (trx) => await places.release(trx, { root: 'other', server: 'web' }));
    await result(id);
    await chom.replayed(id);
  });
  expect(made.done).toEqual(['one']);
});

test('is told by the sweep as well', async () => {
  const made = world(chom, () => null);
  const other = { tenant: 'default', server: 'web', site: 'sswept', priority: 'default', exclusive: false } as const;
  await chom.inventory.transaction(async (trx) => await places.enter(trx, { root: 'gone', ...other }));
  await chom.withWorker(made, async () => {
    const id = await submit(chom, onSite('sswept', 'one'));
    await until('it waits', async () => (await state(id)) === 'waiting');
    await chom.inventory.transaction(
      async (trx) => await trx.deleteFrom('places').where('root', '=', 'gone').execute(),
    );
    expect(await wakeForgotten(chom)).toEqual([id]);
    await result(id);
    expect(await wakeForgotten(chom)).toEqual([]);
  });
});

test('is cancelled while it waits, and just when it was given its place; the next one goes on', async () => {
  const made = held();
  await chom.withWorker(made, async () => {
    const [first, second] = await two('scancel');
    const third = await submit(chom, onSite('scancel', 'three'));
    const fourth = await submit(chom, onSite('scancel', 'four'));
    await until('they wait', async () => (await state(third)) === 'waiting' && (await state(fourth)) === 'waiting');
    const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
    expect(await cancelOperation(client, second)).toBe('running');
    await expect(result(second)).rejects.toThrow(WorkflowFailedError);
    expect(await operations.byId(chom.inventory.db, second)).toMatchObject({ outcome: 'cancelled', startedAt: null });
    // The place is the third one's, and it does not know yet.
    await chom.inventory.transaction(async (trx) => {
      await trx.updateTable('places').set({ state: 'waiting' }).where('root', '=', first).execute();
      await places.serve(trx, 'web');
    });
    await cancelOperation(client, third);
    await expect(result(third)).rejects.toThrow(WorkflowFailedError);
    made.letGo();
    await Promise.all([result(first), result(fourth)]);
    for (const id of [second, third, fourth]) await chom.replayed(id);
  });
  expect(made.done).toEqual(['hold', 'four']);
  expect(await places.list(chom.inventory.db, { server: 'web' })).toEqual([]);
});
