import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide, type Standing } from '../../src/inventory/batch-rules.js';
import { BATCH_ITEM_STATES, type BatchRules, type ItemCounts } from '../../src/workflows/batch-plan.js';

const none = (): ItemCounts => ({ pending: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, skipped: 0 });

const rules: fc.Arbitrary<BatchRules> = fc.record({
  concurrency: fc.integer({ min: 1, max: 6 }),
  perServer: fc.constant(null),
  canary: fc.option(
    fc.record({ first: fc.integer({ min: 1, max: 5 }), waitMs: fc.option(fc.integer({ min: 0, max: 50 })) }),
  ),
  failures: fc.option(fc.record({ most: fc.integer({ min: 1, max: 100 }), percent: fc.boolean() })),
});

const FINE = { mayBegin: true, bounded: true, held: true };

/** Plays a batch to its end: who is at work ends in some order, and whoever pauses it is let go on. */
function play(standing: Standing, ends: Iterator<boolean>, cancelAfter: number | null): string[] {
  const log: string[] = [];
  const { phases } = standing;
  let now = 0;
  for (let looks = 0; looks < 10_000; looks += 1) {
    if (looks === cancelAfter && standing.state !== 'ended') standing.state = 'cancelling';
    const decision = decide(standing, now);
    const { item } = phases;
    const begun = Math.min(decision.start, item.pending);
    item.pending -= begun;
    item.running += begun;
    const { rules: bounds, approved } = standing;
    const all = Object.values(item).reduce((sum, count) => sum + count, 0);
    const mayBegin = begun === 0 || standing.state === 'running';
    const first = bounds.canary && !approved ? bounds.canary.first : Infinity;
    const held = begun === 0 || all - item.pending <= first;
    expect({ mayBegin, bounded: item.running <= bounds.concurrency, held }).toEqual(FINE);
    for (const phase of decision.handlers) {
      phases[phase].running += phases[phase].pending;
      phases[phase].pending = 0;
      log.push(phase);
    }
    for (const { phase, as } of decision.drop) {
      phases[phase][as] += phases[phase].pending;
      phases[phase].pending = 0;
    }
    if (decision.approve) standing.approved = true;
    if (decision.waitUntil !== null) {
      standing.canaryUntil = decision.waitUntil;
      now = decision.waitUntil;
    }
    if (decision.end !== null) return [...log, decision.end];
    if (decision.pause) {
      log.push(`paused by ${decision.pause.by}`);
      standing.forgiven = item.failed + item.cancelled;
      if (decision.pause.by !== 'failures') standing.approved = true;
      continue;
    }
    const busy = Object.values(phases).filter((counts) => counts.running > 0);
    const [next] = busy;
    if (!next) continue;
    next.running -= 1;
    if (ends.next().value === true) next.succeeded += 1;
    else next[standing.state === 'cancelling' ? 'cancelled' : 'failed'] += 1;
  }
  throw new Error('it does not end');
}

const standing = (kind: 'batch' | 'chain', pending: number, given: BatchRules): Standing => ({
  ...{ kind, state: 'running', rules: kind === 'chain' ? { ...given, concurrency: 1, canary: null } : given },
  ...{ approved: false, startsAt: null, canaryUntil: null, forgiven: 0 },
  phases: {
    item: { ...none(), pending },
    ...{ then: { ...none(), pending: 1 }, catch: { ...none(), pending: 1 }, finally: { ...none(), pending: 1 } },
  },
});

test('every batch ends, in bounds all the way, with its handlers as they should be', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('batch' as const, 'chain' as const),
      fc.integer({ min: 1, max: 12 }),
      rules,
      fc.infiniteStream(fc.boolean()),
      fc.option(fc.integer({ min: 0, max: 20 })),
      (kind, pending, given, ends, cancelAfter) => {
        const played = standing(kind, pending, given);
        const log = play(played, ends[Symbol.iterator](), cancelAfter);
        const { item, then, catch: caught, finally: last } = played.phases;
        for (const counts of Object.values(played.phases)) expect(counts.pending + counts.running).toBe(0);
        expect(BATCH_ITEM_STATES.reduce((sum, state) => sum + item[state], 0)).toBe(pending);
        const good = item.succeeded === pending;
        expect(log.includes('then')).toBe(good);
        expect(then.skipped).toBe(good ? 0 : 1);
        expect(good ? caught.skipped : 1).toBe(1);
        expect(log.filter((what) => what === 'catch')).toHaveLength(caught.skipped === 1 ? 0 : 1);
        expect(item.failed > 0 && caught.skipped > 0).toBe(false);
        expect(log.at(-2)).toBe('finally');
        expect(last.skipped).toBe(0);
        const whole = then.failed + caught.failed + last.failed > 0 ? 'partly' : 'succeeded';
        const partly = kind === 'batch' && item.succeeded > 0 ? 'partly' : 'failed';
        const outcome = good ? whole : partly;
        const cancelled = played.state === 'cancelling';
        expect(log.at(-1)).toBe(cancelled ? 'cancelled' : outcome);
        expect(kind === 'chain' && !cancelled ? item.failed : 0).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test('the threshold counts what nobody has looked at yet, by number or by share', () => {
  const at = (failed: number, most: number, percent: boolean, forgiven = 0) => {
    const failures = { most, percent };
    const played = standing('batch', 10 - failed, { concurrency: 3, perServer: null, canary: null, failures });
    played.phases.item.failed = failed;
    return decide({ ...played, forgiven }, 0).pause?.by ?? null;
  };
  expect([at(1, 2, false), at(2, 2, false), at(2, 2, false, 1)]).toEqual([null, 'failures', null]);
  expect([at(1, 20, true), at(2, 20, true), at(4, 20, true, 3)]).toEqual([null, 'failures', null]);
});
