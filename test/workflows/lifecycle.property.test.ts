import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newOperationId, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import type { FailureType } from '../../src/workflows/failures.js';
import type { StepContext } from '../../src/workflows/step.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import type { ScriptedActivities } from './scripted.js';
import { plain, request, world, type World } from './world.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => await chom.close());

const retryable = fc.constantFrom<FailureType>('Unreachable', 'DiskFull', 'Unexpected');
const fatal = fc.constantFrom<FailureType>('Conflict', 'InvalidInput', 'LoginRefused');
const ends = fc.array(
  fc.oneof(fc.constant(null), fc.constant(null), retryable, fatal, fc.constant('cancel' as const)),
  {
    maxLength: 4,
  },
);
const scripts = fc.array(fc.record({ undo: fc.boolean(), when: fc.boolean(), final: fc.boolean(), ends }), {
  minLength: 1,
  maxLength: 5,
});

test('whatever fails or is cancelled: undo complete and in order, budget kept, one outcome, nothing live undone', async () => {
  const worlds = new Map<string, World>();
  const of = (step: StepContext) => worlds.get(step.operation) ?? world(chom, () => 'NotFound');
  // One worker for all runs: each step finds the world of its operation.
  const steps: ScriptedActivities = {
    act: async (step, name) => await of(step).act(step, name),
    takeBack: async (step, name) => await of(step).takeBack(step, name),
    commit: async (step, name) => await of(step).commit(step, name),
  };
  const property = async () =>
    await fc.assert(
      fc.asyncProperty(scripts, async (parts) => {
        const last = parts.findIndex(({ final }) => final);
        const script = parts.map(({ undo, when }, index) => {
          const final = index === last;
          return plain(`step ${index}`, { undo, final, when: final || when });
        });
        const id = newOperationId('issue-certificate');
        const handle = chom.temporal.workflow.getHandle(id);
        const made = world(
          chom,
          (name, attempt) => parts[Number(name.slice(5))]?.ends[attempt - 1] ?? null,
          async () => {
            await handle.cancel();
          },
        );
        worlds.set(id, made);
        await submit(chom, request(script, null, 'issue-certificate'), id);
        await handle.result().catch(() => undefined);

        const row = await operations.byId(chom.inventory.db, id);
        expect(row.state).toBe('ended');
        expect(await places.find(chom.inventory.db, id)).toBeNull();
        // Every further try of a step is one of the two attempts that the budget has after the first.
        const tried = script.filter(({ name }) => made.tries[name] !== undefined);
        const again = tried.reduce((sum, { name }) => sum + (made.tries[name] ?? 1) - 1, 0);
        expect(again).toBeLessThanOrEqual(2);
        const undone = row.outcome === 'succeeded' ? [] : tried.filter(({ undo, final }) => undo && !final);
        expect(made.takenBack).toEqual(undone.map(({ name }) => name).toReversed());
        expect(row.committed && row.outcome !== 'succeeded').toBe(false);
        const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
        expect(emitted).toEqual(row.outcome === 'failed' ? ['CertificateFailed', 'Alert'] : []);
        await chom.replayed(id);
      }),
      { numRuns: 40 },
    );
  await chom.withWorker(steps, property);
}, 300_000);
