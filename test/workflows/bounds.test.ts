import { Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { submit } from '../../src/client/submit.js';
import * as operations from '../../src/inventory/operations.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { plain, request, world } from './world.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  // While a step is at work a server that skips time does not.
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => await chom?.close());

test('a step that exceeds its bound is stopped, is an attempt, and is done by the next one', async () => {
  const made = world(chom, () => null);
  const act = made.act.bind(made);
  let stopped = 0;
  made.act = async (step, name) => {
    if (step.attempt > 1) return await act(step, name);
    // It lives, and does not come to an end: its heartbeat tells it when nobody waits for it any more.
    await Context.current().cancelled.catch(() => (stopped += 1));
    throw new Error('too late');
  };
  const id = await submit(chom, request([plain('one', { bounds: 'quick' })], null, 'issue-certificate'));
  await chom.withWorker(made, async () => await chom.temporal.workflow.getHandle(id).result());
  const { outcome, steps } = await operations.byId(chom.inventory.db, id);
  expect({ outcome, steps }).toMatchObject({ outcome: 'succeeded', steps: [{ state: 'done', attempt: 2 }] });
  expect([stopped, made.done]).toEqual([1, ['one']]);
  const { events = [] } = await chom.replayed(id);
  const ended = (events ?? []).flatMap(
    ({ activityTaskTimedOutEventAttributes: late }) => late?.failure?.timeoutFailureInfo ?? [],
  );
  expect(ended).toHaveLength(1);
});
