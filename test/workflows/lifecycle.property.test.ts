import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newOperationId, submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import type { Outcome } from '../../src/inventory/schema.js';
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

const RETRIED: readonly FailureType[] = ['Unreachable', 'DiskFull', 'Unexpected'];
const retryable = fc.constantFrom(...RETRIED);
const fatal = fc.constantFrom<FailureType>('Conflict', 'InvalidInput', 'LoginRefused');
const ends = fc.array(
  fc.oneof(fc.constant(null), fc.constant(null), retryable, fatal, fc.constant('cancel' as const)),
  {
    maxLength: 4,
  },
);
type End = FailureType | 'cancel' | null;
interface Part {
  undo: boolean;
  when: boolean;
  final: boolean;
  /** How each try of it ends; those after the last go well. */
  ends: End[];
}
const scripts: fc.Arbitrary<Part[]> = fc.array(
  fc.record({ undo: fc.boolean(), when: fc.boolean(), final: fc.boolean(), ends }),
  { minLength: 1, maxLength: 5 },
);

/** What becomes of an operation, by docs/operations.md alone: three attempts for all its steps, one end. */
function foretell(parts: readonly Part[]) {
  const [tries, undos]: [Record<string, number>, string[]] = [{}, []];
  let [attempts, committed] = [1, false];
  const ended = (outcome: Outcome, failureType: End = null) => ({
    tries,
    outcome: committed ? ('succeeded' as const) : outcome,
    failureType,
    committed,
    takenBack: committed || outcome === 'succeeded' ? [] : undos.toReversed(),
  });
  for (const [index, { undo, when, final, ends: all }] of parts.entries()) {
    if (!when && !final) continue;
    const name = `step ${index}`;
    if (undo && !final) undos.push(name);
    for (let tried = 1; ; tried += 1) {
      tries[name] = tried;
      const end = all[tried - 1] ?? null;
      // What cancels the operation does not reach a final step.
      if (end === null || (final && end === 'cancel')) break;
      if (end === 'cancel') return ended('cancelled');
      if (!RETRIED.includes(end) || attempts === 3) return ended('failed', end);
      attempts += 1;
    }
    committed ||= final;
  }
  return ended('succeeded');
}

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
      fc.asyncProperty(scripts, async (drawn) => {
        // One final step at most.
        const last = drawn.findIndex(({ final }) => final);
        const parts = drawn.map((part, index) => ({ ...part, final: index === last }));
        const script = parts.map(({ undo, when, final }, index) =>
          plain(`step ${index}`, { undo, final, when: final || when }),
        );
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

        const foretold = foretell(parts);
        const row = await operations.byId(chom.inventory.db, id);
        expect(row).toMatchObject({ state: 'ended', outcome: foretold.outcome, committed: foretold.committed });
        expect(row.failureType).toBe(foretold.failureType);
        expect(await places.find(chom.inventory.db, id)).toBeNull();
        expect(made.tries).toEqual(foretold.tries);
        expect(made.takenBack).toEqual(foretold.takenBack);
        const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
        expect(emitted).toEqual(foretold.outcome === 'failed' ? ['CertificateFailed', 'Alert'] : []);
        await chom.replayed(id);
      }),
      { numRuns: 40 },
    );
  await chom.withWorker(steps, property);
}, 300_000);
