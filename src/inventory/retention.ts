import { failure } from '../workflows/failures.js';
import type { RetentionPolicy } from '../workflows/retention-policy.js';
import { calendar, DAY_MILLISECONDS, type Dates } from './calendar.js';
import {
  DELETED_SITE_DAYS,
  type KeepReason,
  type RemovalReason,
  SAFETY_DAYS,
  YOUNG_HOURS,
} from './retention-reason.js';

/** What decides over a backup: all snapshots of one operation, as CHOM recorded them. */
export interface BackupRecord {
  id: string;
  repository: string;
  kind: 'full' | 'files' | 'database';
  state: 'creating' | 'partial' | 'completed' | 'verified' | 'failed' | 'deleting' | 'deleted';
  /** `pre-restore`: made by a restore, of what it was about to replace. */
  tag: string;
  /** ISO-8601 UTC. Which day it is of, and its age, go by when it began. */
  startedAt: string;
  /** Its caller's; null: the policy's. */
  retentionDays: number | null;
  /** When it was found not to restore; null: it was not. */
  verifyFailedAt?: string | null;
  /** The operation that reads it, or owes an undo by it. */
  neededBy?: string | null;
}

export interface Circumstances {
  /** Milliseconds since the epoch. */
  now: number;
  /** Whose days, weeks and months; UTC unless said. */
  timezone?: string;
  /** ISO-8601 UTC; null while the site exists. */
  siteDeletedAt?: string | null;
}

export interface Verdict<B extends BackupRecord = BackupRecord> {
  backup: B;
  keep: boolean;
  /** Never empty. */
  reasons: (KeepReason | RemovalReason)[];
}

/** The tag of what a restore saves first. */
export const SAFETY_TAG = 'pre-restore';

/** A backup, when it began, and the day, week and month that this was in. */
interface Dated<B> {
  backup: B;
  at: number;
  dates: Dates;
}

/** The rules of the policy, and what each keeps the newest of. */
const PERIODS = [
  ['daily', 'day'],
  ['weekly', 'week'],
  ['monthly', 'month'],
] as const;

/**
 * Which backups of one site are kept and which go, the newest first; pure. Those that were deleted are left out.
 *
 * Whoever restores wants the whole site of one moment, or its files, or its database. For each of the three, in each
 * repository, the policy is applied to the backups that hold it: so a full one stands for its files as well, and one of
 * the files alone never takes a full one's day. Only what is complete counts, not what is dated in the future, and not
 * what was made before a restore: it may be of the very state that the restore was to end.
 * A day, week or month without a backup does not count, so that nothing goes because nothing new came.
 * docs/backups.md, "Which backups are kept", has all rules and why.
 * @throws InvalidInput there is no such timezone
 */
export function keep<B extends BackupRecord>(
  backups: readonly B[],
  policy: RetentionPolicy,
  { now, timezone = 'UTC', siteDeletedAt = null }: Circumstances,
): Verdict<B>[] {
  const datesOf = calendar(timezone);
  const ended = siteDeletedAt !== null && now - instant(siteDeletedAt) >= DELETED_SITE_DAYS * DAY_MILLISECONDS;
  const held = backups
    .filter(({ state }) => state !== 'deleted')
    .map((backup) => ({ backup, at: instant(backup.startedAt), dates: datesOf(instant(backup.startedAt)) }))
    .toSorted((a, b) => b.at - a.at || (a.backup.id < b.backup.id ? 1 : -1));
  const amongOthers = ended ? new Map<B, KeepReason[]>() : ofAllSeries(held, policy, now);
  return held.map(({ backup, at }) => {
    const reasons = [...ofItself(backup, now - at, ended ? null : policy), ...(amongOthers.get(backup) ?? [])];
    if (reasons.length > 0) return { backup, keep: true, reasons };
    return { backup, keep: false, reasons: [removal(backup, ended ? siteDeletedAt : null)] };
  });
}

/** What keeps a backup whatever others there are; no policy: its site's backups have ended. `age` in milliseconds. */
function ofItself(backup: BackupRecord, age: number, policy: RetentionPolicy | null): KeepReason[] {
  const { state, tag, retentionDays, neededBy } = backup;
  if (state === 'creating') return [{ rule: 'being-made' }];
  // One of its snapshots may be gone already.
  if (state === 'deleting') return [];
  const reasons: KeepReason[] = [];
  const younger = (days: number) => age < days * DAY_MILLISECONDS;
  if (neededBy) reasons.push({ rule: 'needed', operation: neededBy });
  if (age < 0) return policy ? [...reasons, { rule: 'future' }] : reasons;
  if (younger(YOUNG_HOURS / 24)) reasons.push({ rule: 'young' });
  if (state === 'failed') return reasons;
  if (retentionDays !== null && younger(retentionDays)) reasons.push({ rule: 'asked', days: retentionDays });
  if (retentionDays === null && policy && younger(policy.within)) {
    reasons.push({ rule: 'within', days: policy.within });
  }
  if (tag === SAFETY_TAG && younger(SAFETY_DAYS)) reasons.push({ rule: 'safety' });
  return reasons;
}

/** What keeps backups for what they are among others. `held`: the newest first. */
function ofAllSeries<B extends BackupRecord>(
  held: readonly Dated<B>[],
  policy: RetentionPolicy,
  now: number,
): Map<B, KeepReason[]> {
  const reasons = new Map<B, KeepReason[]>();
  for (const repository of new Set(held.map(({ backup }) => backup.repository))) {
    for (const kind of ['full', 'files', 'database'] as const) {
      const series = held.filter(({ backup, at }) => {
        return backup.repository === repository && at <= now && (backup.kind === 'full' || backup.kind === kind);
      });
      for (const [{ backup }, reason] of ofSeries(series, policy)) {
        // What keeps a full one here keeps it in its own series, too: that is a part of this one.
        if (backup.kind === kind) reasons.set(backup, [...(reasons.get(backup) ?? []), reason]);
      }
    }
  }
  return reasons;
}

function ofSeries<B extends BackupRecord>(
  series: readonly Dated<B>[],
  policy: RetentionPolicy,
): [Dated<B>, KeepReason][] {
  const kept: [Dated<B>, KeepReason][] = [];
  const good = series.filter(isGood);
  const ordinary = good.filter(({ backup }) => backup.tag !== SAFETY_TAG);
  for (const [rule, period] of PERIODS) {
    const newest = newestOf(ordinary, policy[rule], ({ dates }) => dates[period]);
    for (const [bucket, one] of newest) kept.push([one, { rule, bucket }]);
  }
  // Of all the newest as well: a site may have nothing but what was made before a restore.
  for (const one of new Set([ordinary.find(isVerified), good.find(isVerified)])) {
    if (one) kept.push([one, { rule: 'last-verified' }]);
  }
  if (good[0]) kept.push([good[0], { rule: 'newest' }]);
  const most = series.find((one) => isGood(one) || one.backup.state === 'partial' || isRefuted(one.backup));
  if (most && !isGood(most)) kept.push([most, { rule: 'newest-partial' }]);
  return kept;
}

function isGood({ backup }: Dated<BackupRecord>): boolean {
  return (backup.state === 'completed' || backup.state === 'verified') && !isRefuted(backup);
}

/** It was tried, and did not restore: what restores must not go for its sake. */
function isRefuted({ state, verifyFailedAt }: BackupRecord): boolean {
  return state === 'completed' && (verifyFailedAt ?? null) !== null;
}

function isVerified({ backup: { state } }: Dated<BackupRecord>): boolean {
  return state === 'verified';
}

/** The first of each bucket, of the first so many buckets that there are. */
function newestOf<T>(newestFirst: readonly T[], count: number, bucketOf: (one: T) => string): [string, T][] {
  const buckets = new Map<string, T>();
  for (const one of newestFirst) {
    const bucket = bucketOf(one);
    if (!buckets.has(bucket)) buckets.set(bucket, one);
  }
  return [...buckets].slice(0, Math.max(0, count));
}

function removal(backup: BackupRecord, siteDeletedAt: string | null): RemovalReason {
  const { state, tag } = backup;
  if (state === 'deleting') return { rule: 'begun' };
  if (state === 'failed') return { rule: 'failed' };
  if (siteDeletedAt !== null) return { rule: 'site-deleted', deletedAt: siteDeletedAt };
  if (state === 'partial') return { rule: 'partial' };
  if (isRefuted(backup)) return { rule: 'refuted' };
  return { rule: tag === SAFETY_TAG ? 'safety-over' : 'spare' };
}

/** A date that cannot be read must not make a backup look old. */
function instant(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw failure('Bug', `${JSON.stringify(text)} is no date of a backup`);
  return at;
}
