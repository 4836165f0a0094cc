import { sleep } from '@temporalio/workflow';
import { causeOf } from './causes.js';
import { RETRYABLE } from './failures.js';
import type { StepContext } from './step.js';
import { schedule, type Step } from './steps.js';

/** Ever longer: each try grows the history, which has an end. */
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** The inventory may be away for a while; beginning and ending an operation wait for it, however long it takes. */
export async function insist<Args extends unknown[], Result>(
  step: Step<Args, Result>,
  context: StepContext,
  args: Args,
): Promise<Result> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await schedule(step, context, args, 'quick');
    } catch (error) {
      const { type, message } = causeOf(error);
      if (!RETRYABLE[type]) throw error;
      await sleep(pause, { summary: `${step.activity}: ${message}` });
    }
  }
}
