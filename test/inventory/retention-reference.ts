import type { BackupRecord } from '../../src/inventory/retention.js';
import { DAY, HOUR, type History } from './retention-history.js';

/**
 * The rules once more, as definitions: each backup is asked by itself, by counting all others. In words the reasons for
 * keeping it, or null.
 */
export function expected({ backups, policy, circumstances }: History): Map<string, string[] | null> {
  const { now, timezone, siteDeletedAt } = circumstances;
  const local = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short' });
  const began = new Map(backups.map((one) => [one, Date.parse(one.startedAt)]));
  const days = new Map(backups.map((one) => [one, local.format(began.get(one))]));
  const at = (one: BackupRecord) => began.get(one)!;
  const day = (one: BackupRecord) => days.get(one)!;
  const month = (one: BackupRecord) => day(one).slice(0, 7);
  const week = (one: BackupRecord) => weekOf(day(one));
  const ended = siteDeletedAt !== null && now >= Date.parse(siteDeletedAt) + 30 * DAY;

  return new Map(backups.filter(({ state }) => state !== 'deleted').map((one) => [one.id, why(one)]));

  function why(one: BackupRecord): string[] | null {
    const age = now - at(one);
    const { state, retentionDays, tag, neededBy } = one;
    if (state === 'creating') return ['is being made'];
    if (state === 'deleting') return null;
    const whole = isGood(one) || isHalf(one);
    const future = age < 0;
    const reasons = [
      neededBy && `needed by ${neededBy}`,
      future && !ended && 'dated in the future',
      !future && age < 24 * HOUR && 'younger than 24 hours',
      ...(whole && !future ? lowerBounds() : []),
      ...(future || ended ? [] : amongOthers(one)),
    ].filter((text) => typeof text === 'string');
    return reasons.length > 0 ? reasons.toSorted() : null;

    function lowerBounds() {
      return [
        retentionDays !== null && age < retentionDays * DAY && `asked to be kept for ${retentionDays} days`,
        retentionDays === null && !ended && age < policy.within * DAY && `of the last ${policy.within} days`,
        tag === 'pre-restore' && age < 14 * DAY && 'made before a restore, kept for 14 days',
      ];
    }
  }

  /** Those that would serve whoever wants this one, and are newer. */
  function newer(than: BackupRecord): BackupRecord[] {
    return backups.filter(
      (one) =>
        one.repository === than.repository &&
        (one.kind === than.kind || one.kind === 'full') &&
        at(one) <= now &&
        (at(one) > at(than) || (at(one) === at(than) && one.id > than.id)),
    );
  }

  function amongOthers(one: BackupRecord): (string | false)[] {
    const better = newer(one).filter(isGood);
    const ordinary = better.filter(({ tag }) => tag !== 'pre-restore');
    const verified = (others: BackupRecord[]) => others.some(({ state }) => state === 'verified');
    const lastVerified = !verified(better) || (one.tag !== 'pre-restore' && !verified(ordinary));
    const stands = (count: number, period: (one: BackupRecord) => string) =>
      isGood(one) &&
      one.tag !== 'pre-restore' &&
      !ordinary.some((other) => period(other) === period(one)) &&
      new Set(ordinary.map(period)).size < count;
    return [
      stands(policy.daily, day) && `daily ${day(one)}`,
      stands(policy.weekly, week) && `weekly ${week(one)}`,
      stands(policy.monthly, month) && `monthly ${month(one)}`,
      one.state === 'verified' && lastVerified && 'last verified',
      isGood(one) && better.length === 0 && 'newest of its kind',
      isHalf(one) && !newer(one).some((other) => isGood(other) || isHalf(other)) && 'not whole, and nothing newer is',
    ];
  }
}

function isGood({ state, verifyFailedAt }: BackupRecord): boolean {
  return state === 'verified' || (state === 'completed' && !verifyFailedAt);
}

/** Nobody can rely on it, and it is something all the same. */
function isHalf({ state, verifyFailedAt }: BackupRecord): boolean {
  return state === 'partial' || (state === 'completed' && Boolean(verifyFailedAt));
}

/** By counting weeks from the one that has 4 January in it (ISO 8601). */
function weekOf(day: string): string {
  const monday = mondayOf(Date.parse(day));
  const year = Number(day.slice(0, 4));
  const of = [year + 1, year, year - 1].find((one) => mondayOf(Date.UTC(one, 0, 4)) <= monday) ?? 0;
  let number = 1;
  for (let week = mondayOf(Date.UTC(of, 0, 4)); week < monday; week += 7 * DAY) number += 1;
  return `${of}-W${String(number).padStart(2, '0')}`;
}

function mondayOf(at: number): number {
  let monday = at;
  while (new Date(monday).getUTCDay() !== 1) monday -= DAY;
  return monday;
}
