import {
  continueAsNew,
  isCancellation,
  log,
  proxyActivities,
  setWorkflowOptions,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { scheduleActivities } from '../activities/schedule.js';
import { causeOf } from './causes.js';
import { failure, RETRYABLE } from './failures.js';
import { lasting } from './lasting.js';
import { isUnreadable } from './unreadable.js';

/** What schedules can have done. */
export type ScheduledWork =
  | 'back-up-control-plane'
  | 'back-up-sites'
  | 'clean-backups'
  | 'rotate-credentials'
  | 'verify-backups'
  | 'renew-certificates'
  | 'check-queues'
  | 'check-servers'
  | 'optimise-databases';

/** As the schedule hands it over, and as a run hands it to its own next part. */
export interface ScheduledRun {
  work: ScheduledWork;
  /** Hash of the whole definition: whether it was applied as it stands in the code. */
  definition: string;
  windowMinutes: number;
  /** Of a run that is gone on with. */
  state?: RunState;
}

/** How far a run is. */
export interface RunState {
  /** When it began, in milliseconds: its window counts from then. */
  since: number;
  /** Up to so many milliseconds after that everything was asked for, */
  upTo: number;
  /** but for these, by their keys: something else has to end first. */
  waiting: string[];
  asked: number;
  refused: Refused[];
}

/** What could not be asked for. */
export interface Refused {
  tenant: string;
  what: string;
  reason: string;
}

/** What is to be asked for in one go: what falls due later than `after` and up to `upTo`, and what was left waiting. */
export interface Round {
  work: ScheduledWork;
  /** Id of the run: the same thing asked for twice in one run is asked for once. */
  run: string;
  windowMilliseconds: number;
  after: number;
  upTo: number;
  waiting: readonly string[];
}

/** What came of it. */
export interface RoundEnd {
  asked: number;
  waiting: string[];
  refused: Refused[];
}

export interface ScheduleResult {
  asked: number;
  refused: Refused[];
  /** Keys of what still had to wait when the run was given up. */
  left: string[];
}

const work = proxyActivities<ReturnType<typeof scheduleActivities>>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { maximumAttempts: 5 },
});

const ROUND = '1 minute';
/** So long after its window a run waits for what is in the way. */
const PATIENCE_MS = 8 * 3_600_000;
/** More is told of by number alone. */
const MOST_REFUSED = 200;

/**
 * One run of a schedule: asks for what falls due, minute by minute, and tells of what could not be asked for. It is no
 * operation and waits for none but those that are in its way; what it asked for has an outcome of its own.
 */
export async function runSchedule(given: ScheduledRun): Promise<ScheduleResult> {
  if (isUnreadable(given)) throw failure('Forbidden', `What the schedule wants is ${given.chomUnreadable}`);
  const { workflowId, firstExecutionRunId } = workflowInfo();
  const run = `${workflowId}/${firstExecutionRunId}`;
  const windowMilliseconds = given.windowMinutes * 60_000;
  const state = given.state ?? { since: Date.now(), upTo: -1, waiting: [], asked: 0, refused: [] };
  for (;;) {
    const upTo = Date.now() - state.since;
    const { upTo: after, waiting } = state;
    const ended = await tryRound({ work: given.work, run, windowMilliseconds, after, upTo, waiting });
    if (ended) {
      state.upTo = upTo;
      state.waiting = ended.waiting;
      state.asked += ended.asked;
      state.refused = [...state.refused, ...ended.refused].slice(0, MOST_REFUSED);
    }
    const over = state.upTo >= windowMilliseconds && state.waiting.length === 0;
    if (over || upTo > windowMilliseconds + PATIENCE_MS) break;
    await sleep(ROUND, { summary: 'until the next are due' });
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof runSchedule>({ ...given, state });
  }
  const { asked, refused, waiting: left } = state;
  if (refused.length + left.length > 0) await work.tellOfSchedule({ work: given.work, run, refused, left });
  return { asked, refused, left };
}

// It may last for a night: it moves to the newest build, and its changes are patches.
setWorkflowOptions(lasting, runSchedule);

/** Null where it has to be tried again. */
async function tryRound(round: Round): Promise<RoundEnd | null> {
  try {
    return await work.askScheduled(round);
  } catch (error) {
    const { type } = causeOf(error);
    if (isCancellation(error) || !RETRYABLE[type]) throw error;
    log.warn('a round of the schedule is put off', { type });
    return null;
  }
}
