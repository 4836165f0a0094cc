import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Amount } from '../workflows/progress.js';
import type { Deps } from './deps.js';

/** How far a step is, as its heartbeats tell whoever describes the workflow. */
export interface Beat {
  /** Index of the step. */
  step: number;
  amount: Amount;
}

const latest = new WeakMap<Context, Beat>();

/** From now on the step's heartbeats say so. */
export function tellAmount(context: Context, amount: Beat): void {
  latest.set(context, amount);
}

/** Acts, and heartbeats until that has ended. */
export async function beating<Result>(deps: Pick<Deps, 'log'>, act: () => Promise<Result>): Promise<Result> {
  const ended = new AbortController();
  void beat(deps, Context.current(), ended.signal);
  try {
    return await act();
  } finally {
    ended.abort();
  }
}

/** Temporal throttles what it sends; the beat itself must only be well below the heartbeat timeout of 10 s. */
async function beat({ log }: Pick<Deps, 'log'>, context: Context, ended: AbortSignal): Promise<void> {
  try {
    for (;;) {
      context.heartbeat(latest.get(context));
      await sleep(2000, undefined, { signal: ended, ref: false });
    }
  } catch (error) {
    // Without a heartbeat Temporal takes this worker for lost and gives the step to another: that is all that is lost.
    if (!ended.aborted) log.error({ err: error, activity: context.info.activityType }, 'the heartbeat stopped');
  }
}
