import * as fc from 'fast-check';
import { type BackupRecord, type Circumstances, keep, SAFETY_TAG } from '../../src/inventory/retention.js';
import { describeReason } from '../../src/inventory/retention-reason.js';
import type { RetentionPolicy } from '../../src/workflows/retention-policy.js';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** A site's backups and what decides over them. */
export interface History {
  backups: BackupRecord[];
  policy: RetentionPolicy;
  circumstances: Required<Circumstances>;
}

/** Instants about which something is odd: new years of 52 and 53 weeks, changed clocks, also one of a minute past midnight. */
const ODD = ['2026-11-24', '2027-01-01', '2025-01-01', '2021-01-01', '2026-10-25', '2026-03-29', '2010-11-07'];

const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, fc.constantFrom(...others));

/** Many a day, some a week, or years with gaps: milliseconds around an odd instant. */
const offset = fc.oneof(
  fc.integer({ min: -3 * 24 * 60, max: 3 * 24 * 60 }).map((minutes) => minutes * 60_000),
  fc.integer({ min: -60 * 24, max: 20 * 24 }).map((hours) => hours * HOUR),
  fc.integer({ min: -800, max: 400 }).map((days) => days * DAY),
);

const backup = fc.record({
  offset,
  kind: often<BackupRecord['kind']>('full', 'files', 'database'),
  state: often<BackupRecord['state']>('completed', 'verified', 'partial', 'failed', 'creating', 'deleting', 'deleted'),
  tag: often('scheduled', 'manual', SAFETY_TAG),
  repository: often('here', 'there'),
  retentionDays: often<number | null>(null, 0, 1, 30, 400),
  verifyFailedAt: often<string | null>(null, '2026-11-24T12:00:00.000Z'),
  neededBy: fc.oneof({ weight: 19, arbitrary: fc.constant(null) }, fc.constant('restore-1')),
});

const policy = fc.record({
  within: fc.constantFrom(0, 1, 7, 40),
  daily: fc.integer({ min: 0, max: 8 }),
  weekly: fc.integer({ min: 0, max: 5 }),
  monthly: fc.integer({ min: 0, max: 13 }),
});

export const history: fc.Arbitrary<History> = fc
  .record({
    odd: fc.constantFrom(...ODD),
    made: fc.array(backup, { maxLength: 60 }),
    policy,
    later: offset,
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Kiritimati', 'America/Los_Angeles'),
    deletedBefore: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.integer({ min: -1, max: 40 })),
  })
  .map(({ odd, made, policy: rules, later, timezone, deletedBefore }) => {
    const base = Date.parse(odd);
    const now = base + later;
    return {
      backups: made.map(({ offset: from, ...one }, n) => ({ id: `b${n}`, startedAt: iso(base + from), ...one })),
      policy: rules,
      circumstances: { now, timezone, siteDeletedAt: deletedBefore === null ? null : iso(now - deletedBefore * DAY) },
    };
  });

export const iso = (at: number) => new Date(at).toISOString();

/** What `keep` says, by id: the reasons in words, or null of what goes. */
export function verdicts(one: History): Map<string, string[] | null> {
  const all = keep(one.backups, one.policy, one.circumstances);
  return new Map(all.map((each) => [each.backup.id, each.keep ? each.reasons.map(describeReason).toSorted() : null]));
}

/** What is left when everything was removed that `keep` says goes. */
export function cleaned(one: History): History {
  const left = keep(one.backups, one.policy, one.circumstances).filter((each) => each.keep);
  return { ...one, backups: left.map((each) => each.backup) };
}
