import type { BatchRules, ItemCounts } from '../workflows/batch-plan.js';
import type { BatchItemState, BatchKind, BatchOutcome, BatchPhase, BatchState, PausedBy } from './schema.js';

/** How a batch stands, as its rows say. */
export interface Standing {
  kind: BatchKind;
  state: BatchState;
  rules: BatchRules;
  /** Milliseconds; null: at once. */
  startsAt: number | null;
  approved: boolean;
  /** Milliseconds. */
  canaryUntil: number | null;
  forgiven: number;
  phases: Record<BatchPhase, ItemCounts>;
}

/** What follows. */
export interface Decision {
  /** So many operations may begin now. */
  start: number;
  /** What follows from how they went, and begins now. */
  handlers: Exclude<BatchPhase, 'item'>[];
  /** What has not begun in these phases never will. */
  drop: { phase: BatchPhase; as: Extract<BatchItemState, 'skipped' | 'cancelled'> }[];
  pause: { by: PausedBy; reason: string } | null;
  /** The canaries went well, and were waited for. */
  approve: boolean;
  /** The canaries went well, and are waited for until then (milliseconds). */
  waitUntil: number | null;
  /** It goes on by itself then (milliseconds). */
  lookAt: number | null;
  end: BatchOutcome | null;
}

const ended = (counts: ItemCounts): boolean => counts.pending === 0 && counts.running === 0;

/** Those that failed, or that somebody cancelled by itself. */
const bad = ({ failed, cancelled }: ItemCounts): number => failed + cancelled;

/**
 * What a batch does next: pure. Never more at once than its rules say, nothing new while it is paused, `catch` as soon as
 * one failed, `then` when all succeeded, `finally` last of all, and an end when nothing is left. `now` in milliseconds.
 */
export function decide(standing: Standing, now: number): Decision {
  const decision: Decision = {
    ...{ start: 0, handlers: [], drop: [], pause: null, approve: false, waitUntil: null, lookAt: null, end: null },
  };
  const { kind, state, phases } = standing;
  const { item } = phases;
  if (state === 'ended') return decision;
  const cancelling = state === 'cancelling';
  const stops = cancelling || (kind === 'chain' && bad(item) > 0);
  if (stops && item.pending > 0) {
    return { ...decision, drop: [{ phase: 'item', as: cancelling ? 'cancelled' : 'skipped' }] };
  }
  // What a cancelled batch did not do is no failure of it.
  const failed = cancelling ? item.failed > 0 : bad(item) > 0;
  if (failed && phases.catch.pending > 0) decision.handlers.push('catch');
  if (ended(item)) return finish(standing, decision, failed);
  return state === 'running' ? goOn(standing, decision, now) : decision;
}

/** Its operations are not all begun: how many more may, or what holds it up. */
function goOn(
  { rules, startsAt, approved, canaryUntil, forgiven, phases }: Standing,
  decision: Decision,
  now: number,
): Decision {
  const { item } = phases;
  if (item.pending === 0) return decision;
  if (startsAt !== null && now < startsAt) return { ...decision, lookAt: startsAt };
  const total = Object.values(item).reduce((sum, count) => sum + count, 0);
  const failures = bad(item) - forgiven;
  const { most, percent } = rules.failures ?? { most: Infinity, percent: false };
  if (failures > 0 && failures >= (percent ? (most / 100) * total : most)) {
    const limit = percent ? `${most} %` : `${most}`;
    const reason = `${failures} of ${total} failed, and ${limit} is where it pauses`;
    return { ...decision, pause: { by: 'failures', reason } };
  }
  const free = Math.max(0, rules.concurrency - item.running);
  if (rules.canary === null || approved) return { ...decision, start: free };
  const { first, waitMs } = rules.canary;
  const more = first - (total - item.pending);
  if (more > 0) return { ...decision, start: Math.min(free, more) };
  if (item.running > 0) return decision;
  if (failures > 0) {
    return { ...decision, pause: { by: 'canaries', reason: `${failures} of the first ${first} failed` } };
  }
  if (waitMs === null) {
    return {
      ...decision,
      pause: { by: 'approval', reason: `The first ${first} went well; the others wait for approval` },
    };
  }
  const until = canaryUntil ?? now + waitMs;
  return now < until ? { ...decision, waitUntil: until, lookAt: until } : { ...decision, approve: true };
}

/** All its operations have ended: what follows from it, one after the other, and its end. */
function finish({ kind, state, phases }: Standing, decision: Decision, failed: boolean): Decision {
  const { item, then, catch: caught, finally: last } = phases;
  const good = item.succeeded > 0 && bad(item) === 0 && item.skipped === 0;
  if (then.pending > 0 && good) decision.handlers.push('then');
  if (then.pending > 0 && !good) decision.drop.push({ phase: 'then', as: 'skipped' });
  if (caught.pending > 0 && !failed) decision.drop.push({ phase: 'catch', as: 'skipped' });
  const left = decision.handlers.length > 0 || decision.drop.length > 0 || !ended(then) || !ended(caught);
  if (left) return decision;
  if (last.pending > 0) decision.handlers.push('finally');
  if (!ended(last)) return decision;
  const handled = bad(then) + bad(caught) + bad(last) === 0;
  const whole = good ? (handled ? 'succeeded' : 'partly') : 'failed';
  // Of a chain no link stands for itself.
  const some = !good && kind === 'batch' && item.succeeded > 0 ? 'partly' : whole;
  return { ...decision, end: state === 'cancelling' ? 'cancelled' : some };
}
