import { z } from 'zod';
import { operation } from '../../src/workflows/operation.js';
import type { Operation } from '../../src/workflows/definition.js';
import { steps } from '../../src/workflows/steps.js';
import type { StepContext } from '../../src/workflows/step.js';

/** Activities of the scripted operation: they do what the test's script says. */
export interface ScriptedActivities {
  act(step: StepContext, name: string): Promise<string>;
  takeBack(step: StepContext, name: string): Promise<void>;
  commit(step: StepContext, name: string): Promise<void>;
}

export { runBatch, runChain } from '../../src/workflows/run-batch.js';
export { settleOperation } from '../../src/workflows/settle-operation.js';
export { undoOperation } from '../../src/workflows/undo-operation.js';

const scripted = steps<ScriptedActivities>();

export const script = z.strictObject({
  steps: z.array(
    z.strictObject({
      ...{ name: z.string(), undo: z.boolean(), final: z.boolean(), when: z.boolean() },
      bounds: z.enum(['quick', 'host']).optional(),
      /** Not a step, but a child that has these. */
      child: z.array(z.string()).optional(),
    }),
  ),
  /** Throw a plain error in workflow code before this step. */
  bugBefore: z.number().nullable(),
});

export type Script = z.infer<typeof script>;

/** An operation of which a test decides every step; under a kind that the product knows, since kinds are closed. */
export const provisionSite = operation(
  'provision-site',
  { input: script, attempts: 3, backoff: '60s', expected: '1 hour' },
  perform,
);

/** The same, with a backoff that can be waited out. */
export const issueCertificate = operation(
  'issue-certificate',
  { input: script, attempts: 3, backoff: '20ms', expected: '1 hour' },
  perform,
);

async function perform(op: Operation, input: Script): Promise<void> {
  for (const [index, { name, undo, final, when, bounds, child }] of input.steps.entries()) {
    if (input.bugBefore === index) throw new TypeError('a defect in workflow code');
    const own = { undo: true, final: false, when: true };
    const inside = { steps: child?.map((inner) => ({ name: inner, ...own })) ?? [], bugBefore: null };
    if (child) await op.child(issueCertificate, name, inside, { failureIs: 'warning' });
    else if (final) await op.step(name, scripted.commit, [name], { final: true });
    else if (undo)
      await op.step(name, scripted.act, [name], { undo: [scripted.takeBack, [name]], when, bounds: bounds ?? 'host' });
    else await op.step(name, scripted.act, [name], { when });
  }
}
