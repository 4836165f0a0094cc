import { sleep } from '@temporalio/workflow';
import { causeOf } from './causes.js';
import { RETRYABLE } from './failures.js';
import type { StepContext } from './step.js';
import { schedule, type Step } from './steps.js';

/** The inventory may be away for a while; beginning and ending an operation wait for it, however long it takes. */
export async function insist<Args extends unknown[], Result>(
  step: Step<Args, Result>,
  context: StepContext,
  args: Args,
): Promise<Result> {
  for (;;) {
    try {
      return await schedule(step, context, args, 'quick');
    } catch (error) {
      const { type, message } = causeOf(error);
      if (!RETRYABLE[type]) throw error;
      await sleep('30 seconds', { summary: `${step.activity}: ${message}` });
    }
  }
}
