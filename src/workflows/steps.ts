import { proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import { failure } from './failures.js';
import type { StepContext } from './step.js';
import { isUnreadable } from './unreadable.js';

/** A step's activity as workflows know it: its name and, by type only, its arguments and result. */
export interface Step<Args extends unknown[], Result> {
  readonly activity: string;
  /** Never set: carries the types. */
  readonly types?: (...args: Args) => Result;
}

type StepsOf<Activities> = {
  readonly [Name in keyof Activities]: Activities[Name] extends (
    step: StepContext,
    ...args: infer Args extends unknown[]
  ) => Promise<infer Result>
    ? Step<Args, Result>
    : never;
};

/** References to the steps of a group of activities, from its type: `steps<ReturnType<typeof siteActivities>>()`. */
export function steps<Activities>(): StepsOf<Activities> {
  return new Proxy({} as StepsOf<Activities>, { get: (_, name) => ({ activity: String(name) }) });
}

/**
 * The named sets of bounds. A lost worker is noticed by the heartbeat (10 s) and Temporal starts the activity again, as
 * often as it takes: that is no attempt. An activity that exceeds its time is one (docs/operations.md, "Attempts").
 */
const BOUNDS = {
  quick: { startToCloseTimeout: '1 minute' },
  host: { startToCloseTimeout: '10 minutes' },
  packages: { startToCloseTimeout: '30 minutes' },
  transfer: { startToCloseTimeout: '60 minutes' },
  backup: { startToCloseTimeout: '24 hours' },
} as const satisfies Record<string, ActivityOptions>;

export type Bounds = keyof typeof BOUNDS;

/** Schedules a step's activity once. Fails with what the activity threw, or with Temporal's timeout. */
export async function schedule<Args extends unknown[], Result>(
  step: Step<Args, Result>,
  context: StepContext,
  args: Args,
  bounds: Bounds,
): Promise<Result> {
  const activities = proxyActivities<Record<string, (step: StepContext, ...args: Args) => Promise<Result>>>({
    ...BOUNDS[bounds],
    heartbeatTimeout: '10 seconds',
    retry: {
      initialInterval: '1 second',
      backoffCoefficient: 2,
      maximumInterval: '30 seconds',
      nonRetryableErrorTypes: ['TemporalTimeout:StartToClose'],
    },
    summary: context.undoes === undefined ? context.label : `Undo: ${context.label}`,
  });
  const activity = activities[step.activity];
  if (activity === undefined) throw new TypeError(`no activity ${step.activity}`);
  const result = await activity(context, ...args);
  if (isUnreadable(result)) throw failure('Forbidden', `The result of ${step.activity} is ${result.chomUnreadable}`);
  return result;
}
