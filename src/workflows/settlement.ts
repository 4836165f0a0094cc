import { condition } from '@temporalio/workflow';
import type { Member, settlingActivities } from '../activities/settling.js';
import type { operationActivities } from '../activities/operation.js';
import { causeOf, type Cause } from './causes.js';
import { isAway } from './failures.js';
import { insist } from './insist.js';
import type { StepProgress } from './progress.js';
import type { StepContext } from './step.js';
import { schedule, steps } from './steps.js';
import { takeBack } from './undoing.js';

const lifecycle = steps<ReturnType<typeof operationActivities>>();
const settling = steps<ReturnType<typeof settlingActivities>>();

/** Between tries to reach a server that is away: 30 s, doubling. */
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** What is left of operations that died, while it is brought to its end. */
export interface Settlement {
  root: string;
  epoch: number;
  /** How the workflow ended, for people: `terminated`, `lost` … */
  how: string;
  /** Whether what cannot be reached is to be left as it is. */
  abandoned: () => boolean;
  /** The server refused its claim. */
  refused?: boolean;
}

/**
 * Sees to it that nothing of the operation is at work on its server any more, nor will be. Waits for the server. Returns
 * why that could not be, where it was abandoned.
 */
export async function silence(settlement: Settlement, member: Member): Promise<Cause | null> {
  const context = contextOf(settlement, member, 0, 'Stop what it left running');
  // Whatever is wrong there: as long as something may run, nothing is taken back. A later holder has stopped it already.
  const stands = ({ type }: Cause) => type !== 'StaleClaim';
  const problem = await reached(settlement, context, stands, async () => {
    try {
      await schedule(settling.silenceServer, context, [], 'host');
      return null;
    } catch (error) {
      return refusal(error);
    }
  });
  settlement.refused = problem !== null && !stands(problem);
  return settlement.refused ? null : problem;
}

/**
 * Takes an operation back, or says of a committed one what was not done, and records its end. `loud`: why what it left
 * running on its server could not be stopped.
 */
export async function settleMember(settlement: Settlement, member: Member, loud: Cause | null): Promise<void> {
  const warnings = loud ? [`Not stopped on the server: ${loud.message}`] : [];
  const done: StepProgress[] = [];
  for (const { step, label, undo } of member.undos) {
    const context = { ...contextOf(settlement, member, step, label), undoes: step };
    const away = ({ type }: Cause) => isAway(type);
    const problem = await reached(settlement, context, away, async () => await takeBack(context, undo));
    if (problem) {
      warnings.push(`Not undone: ${label}: ${problem.message}`);
      await insist(lifecycle.noteNotUndone, context, [{ step, reason: problem.message }]);
    }
    const state = problem ? { state: 'not-undone' as const, message: problem.message } : { state: 'undone' as const };
    const at = Date.now();
    done.unshift({ index: step, label, attempt: 1, startedAt: at, endedAt: at, ...state });
  }
  const { committed } = member;
  if (committed)
    warnings.push(`Its workflow was ${settlement.how} after it had taken effect: what followed was not done`);
  const context = contextOf(settlement, member, 0, 'Record the outcome');
  await insist(lifecycle.concludeOperation, context, [
    {
      outcome: committed ? 'succeeded' : 'failed',
      cause: committed ? null : interrupted(settlement, member, { stopped: loud === null, done }),
      warnings,
      steps: done,
      overdue: false,
      ...(settlement.refused && { refused: true }),
    },
  ]);
}

/** Acts until it succeeds, fails for good, or is abandoned; while `waitsFor` says so it waits, and tells that once. */
async function reached(
  settlement: Settlement,
  context: StepContext,
  waitsFor: (cause: Cause) => boolean,
  act: () => Promise<Cause | null>,
): Promise<Cause | null> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const cause = await act();
    if (!cause || !waitsFor(cause) || settlement.abandoned()) return cause;
    await insist(settling.noteUnsettled, { ...context, index: 0 }, [cause.message]);
    await condition(settlement.abandoned, pause);
  }
}

function refusal(error: unknown): Cause {
  const cause = causeOf(error);
  if (cause.type === 'Superseded') throw error;
  return cause;
}

function contextOf(
  { root, epoch }: Settlement,
  { operation, kind }: Member,
  index: number,
  label: string,
): StepContext {
  return { operation, root, kind, epoch, index, label, attempt: 1 };
}

function interrupted(
  { how }: Settlement,
  { operation }: Member,
  { stopped, done }: { stopped: boolean; done: readonly StepProgress[] },
): Cause {
  const left = done.filter(({ state }) => state !== 'undone').length;
  const undone =
    left > 0 ? `${left} of ${done.length} steps could not be taken back` : 'what it had done was taken back';
  // An operation that has no undos, or whose own run had taken everything back; one that only waited.
  const back = done.length === 0 ? 'there was nothing to take back' : undone;
  return {
    type: 'Interrupted',
    message: `Its workflow was ${how}; ${back}${stopped ? '' : ', and something of it may still run on the server'}`,
    details: {
      cause: 'Somebody terminated or reset it in Temporal, or Temporal lost it',
      next: stopped && left === 0 ? 'ask for it again' : `chom op show ${operation}`,
    },
  };
}
