import { sleep } from '@temporalio/workflow';
import { causeOf, type Cause } from './causes.js';
import { RETRYABLE } from './failures.js';
import type { StepContext, Undo } from './step.js';
import { schedule, type Step } from './steps.js';

/**
 * Takes a step back, with three tries of its own: an undo must not depend on how many attempts are left. Returns why it
 * failed, or null.
 */
export async function takeBack(context: StepContext, undo: Undo): Promise<Cause | null> {
  const step: Step<unknown[], unknown> = { activity: undo.activity };
  for (let attempt = 1; ; attempt += 1) {
    try {
      // Attempts of an undo count from 1001, so that its job's record is never taken for its step's.
      await schedule(step, { ...context, attempt: 1000 + attempt }, undo.args, 'host');
      return null;
    } catch (error) {
      const cause = causeOf(error);
      if (cause.type === 'Superseded') throw error;
      if (attempt === 3 || !RETRYABLE[cause.type]) return cause;
      await sleep('10 seconds', { summary: `Undo: ${context.label}, try ${attempt + 1} of 3` });
    }
  }
}
