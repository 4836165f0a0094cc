import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import proto from '@temporalio/proto';
import { submit } from '../../src/client/submit.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { whereabouts } from '../../src/inventory/whereabouts.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { plain, request, world } from './world.js';

const MANY = 1000;
const AT_ONCE = 4;
const { TIMEOUT_TYPE_START_TO_CLOSE } = proto.temporal.api.enums.v1.TimeoutType;

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => await chom?.close());

const inState = async (state: 'waiting' | 'ended') =>
  (await operations.list(chom.inventory.db, { state, limit: MANY })).length;

/** Asks for as many on one server, ten at a time. Returns them in the order of their turns. */
async function askForMany(server: string): Promise<string[]> {
  for (let n = 0; n < MANY; n += 10) {
    const sites = Array.from({ length: 10 }, (_, more) => `s${n + more}`);
    await Promise.all(sites.map(async (site) => await submit(chom, { ...request([plain('one')]), server, site })));
  }
  return (await places.list(chom.inventory.db, { server })).map(({ root }) => root);
}

/** Tasks that no worker finished in time, and steps that were given to another one: what a blocked event loop does. */
async function late(operation: string): Promise<string[]> {
  const { events } = await chom.temporal.workflow.getHandle(operation).fetchHistory();
  return (events ?? []).flatMap(({ workflowTaskTimedOutEventAttributes: task, activityTaskStartedEventAttributes }) => [
    ...(task?.timeoutType === TIMEOUT_TYPE_START_TO_CLOSE ? [`${operation}: a workflow task`] : []),
    ...((activityTaskStartedEventAttributes?.attempt ?? 1) > 1 ? [`${operation}: an activity`] : []),
  ]);
}

test('a thousand on one server: four work, the others wait in the order of asking, and no task is late', async () => {
  const { db } = chom.inventory;
  const server = request([]).server ?? '';
  await chom.inventory.transaction(async (trx) => void (await activeServer(trx, server)));
  const made = world(chom, () => null);
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const act: typeof made.act = async (step, name) => {
    await gate;
    return await made.act(step, name);
  };
  const ids = await askForMany(server);
  expect(ids).toHaveLength(MANY);
  await chom.withWorker({ ...made, act }, async () => {
    try {
      await until('all others wait', async () => (await inState('waiting')) === MANY - AT_ONCE, 200_000);
      const line = await places.list(db, { server });
      expect(line.map(({ root }) => root)).toEqual(ids);
      expect(line.map(({ state }) => state)).toEqual(ids.map((_, turn) => (turn < AT_ONCE ? 'running' : 'waiting')));
      for (const turn of [AT_ONCE, MANY / 2, MANY - 1]) {
        const place = { position: turn - AT_ONCE + 1, waiting: MANY - AT_ONCE };
        expect(await whereabouts(db, ids[turn] ?? '')).toMatchObject(place);
      }
      letGo();
      await until('some have ended', async () => (await inState('ended')) >= 40, 60_000);
      const rows = await operations.list(db, { limit: MANY });
      const ended = rows.filter(({ state }) => state === 'ended');
      expect(ended.filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
      // Whoever has begun to work was next: nobody was passed over.
      const turns = rows.filter(({ startedAt }) => startedAt !== null).map(({ id }) => ids.indexOf(id));
      expect(Math.max(...turns)).toBeLessThan(ended.length + AT_ONCE);
      const lates: string[] = [];
      for (let n = 0; n < MANY; n += 20) lates.push(...(await Promise.all(ids.slice(n, n + 20).map(late))).flat());
      expect(lates).toEqual([]);
      await chom.replayed(ids[AT_ONCE] ?? '');
    } finally {
      letGo();
    }
  });
}, 300_000);
