import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BackupRecord, type Circumstances, keep, SAFETY_TAG } from '../../src/inventory/retention.js';
import { describeReason } from '../../src/inventory/retention-reason.js';
import { DEFAULT_RETENTION, type RetentionPolicy } from '../../src/workflows/retention-policy.js';
import { cleaned, DAY, history, HOUR, iso, verdicts } from './retention-history.js';
import { expected } from './retention-reference.js';

const NOW = Date.parse('2026-11-26T12:00:00Z');
/** Nothing but the policy's buckets. */
const BARE: RetentionPolicy = { ...DEFAULT_RETENTION, within: 0 };

const made = (startedAt: string, more: Partial<BackupRecord> = {}): BackupRecord => ({
  ...{ id: startedAt, repository: 'r', kind: 'full', state: 'completed', tag: 'scheduled', retentionDays: null },
  ...{ startedAt: new Date(startedAt).toISOString(), ...more },
});
const nightly = (days: number, more: Partial<BackupRecord> = {}) =>
  Array.from({ length: days }, (_, n) =>
    made(iso(Date.parse('2026-11-26T02:00:00Z') - n * DAY).slice(0, 16) + 'Z', more),
  );
const told = (backups: BackupRecord[], policy = BARE, more: Partial<Circumstances> = {}) =>
  keep(backups, policy, { now: NOW, ...more }).map(
    ({ backup, keep: kept, reasons }) => `${kept ? '+' : '-'} ${backup.id}: ${reasons.map(describeReason).join(', ')}`,
  );
const keptOf = (backups: BackupRecord[], policy = BARE, more: Partial<Circumstances> = {}) =>
  keep(backups, policy, { now: NOW, ...more }).flatMap((one) => (one.keep ? [one.backup.id] : []));

describe('Which backups are kept', () => {
  test('of three years of nightly ones: seven days, four weeks and twelve months, which overlap', () => {
    expect(told(nightly(1100)).filter((line) => line.startsWith('+'))).toEqual([
      '+ 2026-11-26T02:00Z: younger than 24 hours, daily 2026-11-26, weekly 2026-W48, monthly 2026-11, newest of its kind',
      '+ 2026-11-25T02:00Z: daily 2026-11-25',
      '+ 2026-11-24T02:00Z: daily 2026-11-24',
      '+ 2026-11-23T02:00Z: daily 2026-11-23',
      '+ 2026-11-22T02:00Z: daily 2026-11-22, weekly 2026-W47',
      '+ 2026-11-21T02:00Z: daily 2026-11-21',
      '+ 2026-11-20T02:00Z: daily 2026-11-20',
      '+ 2026-11-15T02:00Z: weekly 2026-W46',
      '+ 2026-11-08T02:00Z: weekly 2026-W45',
      '+ 2026-10-31T02:00Z: monthly 2026-10',
      '+ 2026-09-30T02:00Z: monthly 2026-09',
      '+ 2026-08-31T02:00Z: monthly 2026-08',
      '+ 2026-07-31T02:00Z: monthly 2026-07',
      '+ 2026-06-30T02:00Z: monthly 2026-06',
      '+ 2026-05-31T02:00Z: monthly 2026-05',
      '+ 2026-04-30T02:00Z: monthly 2026-04',
      '+ 2026-03-31T02:00Z: monthly 2026-03',
      '+ 2026-02-28T02:00Z: monthly 2026-02',
      '+ 2026-01-31T02:00Z: monthly 2026-01',
      '+ 2025-12-31T02:00Z: monthly 2025-12',
    ]);
  });

  test('[CO-03] the week in which a year ends is one week', () => {
    const days = ['2026-12-27', '2026-12-28', '2026-12-31', '2027-01-01', '2027-01-03', '2027-01-04'];
    const backups = days.map((day) => made(`${day}T02:00Z`));
    const weeks = { within: 0, daily: 0, weekly: 3, monthly: 0 };
    expect(told(backups, weeks, { now: Date.parse('2027-02-01') })).toEqual([
      '+ 2027-01-04T02:00Z: weekly 2027-W01, newest of its kind',
      '+ 2027-01-03T02:00Z: weekly 2026-W53',
      '- 2027-01-01T02:00Z: no day, week or month needs it',
      '- 2026-12-31T02:00Z: no day, week or month needs it',
      '- 2026-12-28T02:00Z: no day, week or month needs it',
      '+ 2026-12-27T02:00Z: weekly 2026-W52',
    ]);
  });

  test('the newest of a day, by the clock of the timezone', () => {
    const backups = [made('2026-11-20T01:00Z'), made('2026-11-20T22:30Z'), made('2026-11-20T23:30Z')];
    const days = { within: 0, daily: 5, weekly: 0, monthly: 0 };
    expect(keptOf(backups, days)).toEqual(['2026-11-20T23:30Z']);
    expect(keptOf(backups, days, { timezone: 'Europe/Berlin' })).toEqual(['2026-11-20T23:30Z', '2026-11-20T22:30Z']);
  });

  test('that nothing new comes removes nothing', () => {
    const backups = nightly(6);
    expect(keptOf(backups, BARE, { now: NOW + 3000 * DAY })).toEqual(backups.map(({ id }) => id));
  });

  test('one of the files or the database alone never takes the place of a full one; a full one takes theirs', () => {
    const full = made('2026-10-20T02:00Z');
    const files = made('2026-10-20T03:00Z', { kind: 'files' });
    const database = made('2026-10-20T04:00Z', { kind: 'database' });
    expect(keptOf([full, files, database])).toEqual([database.id, files.id, full.id]);
    const evening = made('2026-10-20T22:00Z');
    expect(keptOf([full, files, database, evening])).toEqual([evening.id]);
    expect(keptOf([files, made('2026-10-20T05:00Z', { kind: 'files' })])).toEqual(['2026-10-20T05:00Z']);
  });

  test('one repository never takes the place of another', () => {
    const [here, there] = [made('2026-10-20T02:00Z'), made('2026-10-20T03:00Z', { repository: 'other' })];
    expect(keptOf([here, there])).toEqual([there.id, here.id]);
  });

  test('partial and failed ones stand for nothing', () => {
    const whole = made('2026-10-20T02:00Z');
    const partial = made('2026-10-20T03:00Z', { state: 'partial' });
    const failed = made('2026-10-20T04:00Z', { state: 'failed' });
    const next = made('2026-10-21T02:00Z', { kind: 'files' });
    expect(told([whole, partial, failed, next], { ...BARE, daily: 1, weekly: 1, monthly: 1 })).toEqual([
      '+ 2026-10-21T02:00Z: daily 2026-10-21, weekly 2026-W43, monthly 2026-10, newest of its kind',
      '- 2026-10-20T04:00Z: failed',
      '+ 2026-10-20T03:00Z: not whole, and nothing newer is',
      '+ 2026-10-20T02:00Z: daily 2026-10-20, weekly 2026-W43, monthly 2026-10, newest of its kind',
    ]);
    expect(told([partial, made('2026-10-20T05:00Z')])[1]).toBe('- 2026-10-20T03:00Z: partial, and stands for nothing');
    expect(told([made('2026-11-26T11:00Z', { state: 'failed', retentionDays: 90 })])).toEqual([
      '+ 2026-11-26T11:00Z: younger than 24 hours',
    ]);
  });

  test('seven dated in the future take nobody’s place', () => {
    const future = [1, 2, 3, 4, 5, 6, 7].map((n) => made(`2027-0${n}-01T00:00Z`, { state: 'verified' }));
    const past = nightly(1100);
    expect(
      keptOf([...past, ...future])
        .slice(0, 7)
        .toReversed(),
    ).toEqual(future.map(({ id }) => id));
    expect(keptOf([...past, ...future]).slice(7)).toEqual(keptOf(past));
  });

  test('[CO-05] the last verified one, and what is younger than 24 hours, under every policy', () => {
    const one = { within: 0, daily: 1, weekly: 0, monthly: 0 };
    const old = made('2019-01-01T00:00Z', { state: 'verified' });
    const young = made('2026-11-25T12:00:00.001Z', { retentionDays: 0 });
    const newest = made('2026-11-26T11:00Z');
    const notYoung = made('2026-11-25T12:00Z', { retentionDays: 0 });
    const older = made('2018-01-01T00:00Z', { state: 'verified' });
    expect(keptOf([older, old, notYoung, young, newest], one)).toEqual([newest.id, young.id, old.id]);
    // A verified backup of the files alone brings back no site.
    const files = made('2026-01-01T00:00Z', { state: 'verified', kind: 'files' });
    expect(keptOf([older, old, files, newest], one)).toEqual([newest.id, files.id, old.id]);
  });

  test('one that was found not to restore stands for nothing', () => {
    const bad = { verifyFailedAt: '2026-11-26T03:00:00.000Z' };
    const backups = [made('2026-11-24T02:00Z', bad), made('2026-11-23T02:00Z'), made('2026-11-22T02:00Z', bad)];
    const one = { within: 0, daily: 1, weekly: 0, monthly: 0 };
    expect(told(backups, one)).toEqual([
      '+ 2026-11-24T02:00Z: not whole, and nothing newer is',
      '+ 2026-11-23T02:00Z: daily 2026-11-23, newest of its kind',
      '- 2026-11-22T02:00Z: was found not to restore',
    ]);
  });

  test('for as many days as its caller asked, else as the policy says', () => {
    const backups = nightly(40).map((one, n) => ({ ...one, retentionDays: n % 2 === 0 ? null : n === 21 ? 30 : 0 }));
    const one = { within: 7, daily: 1, weekly: 0, monthly: 0 };
    const days = (id: string) => Math.floor((NOW - Date.parse(id)) / DAY);
    expect(keptOf(backups, one).map(days)).toEqual([0, 2, 4, 6, 21]);
  });

  test('what was made before a restore for 14 days, and in no other’s place', () => {
    const before = made('2026-11-12T12:00:00.001Z', { tag: SAFETY_TAG, retentionDays: 1 });
    const over = made('2026-11-12T12:00:00.000Z', { tag: SAFETY_TAG, state: 'verified' });
    const nightBefore = made('2026-11-12T02:00Z', { state: 'verified' });
    const days = { within: 0, daily: 9, weekly: 0, monthly: 0 };
    expect(told([before, over, nightBefore], days)).toEqual([
      '+ 2026-11-12T12:00:00.001Z: made before a restore, kept for 14 days, newest of its kind',
      '+ 2026-11-12T12:00:00.000Z: last verified',
      '+ 2026-11-12T02:00Z: daily 2026-11-12, last verified',
    ]);
    expect(told([{ ...over, state: 'completed' }, before], days)[1]).toBe(
      '- 2026-11-12T12:00:00.000Z: made before a restore, more than 14 days ago',
    );
  });

  test('what is being made, and what an operation needs', () => {
    const now = NOW + 900 * DAY;
    const backups = [
      made('2026-11-26T02:00Z', { kind: 'files' }),
      made('2026-11-25T03:00Z', { state: 'creating' }),
      made('2026-11-25T02:00Z', { neededBy: 'restore-1', kind: 'files' }),
    ];
    expect(keptOf(backups, { within: 0, daily: 1, weekly: 0, monthly: 0 }, { now })).toHaveLength(3);
  });

  test('[CO-05] of a deleted site for 30 days, but as long as its caller asked', () => {
    const backups = [...nightly(3, { state: 'verified' }), made('2026-11-01T00:00Z', { retentionDays: 90 })];
    const deleted = { siteDeletedAt: '2026-11-26T11:00:00.000Z' };
    expect(keptOf(backups, BARE, { ...deleted, now: NOW + 30 * DAY - HOUR - 1 })).toHaveLength(4);
    expect(told(backups, BARE, { ...deleted, now: NOW + 30 * DAY - HOUR })).toEqual([
      '- 2026-11-26T02:00Z: site deleted on 2026-11-26, more than 30 days ago',
      '- 2026-11-25T02:00Z: site deleted on 2026-11-26, more than 30 days ago',
      '- 2026-11-24T02:00Z: site deleted on 2026-11-26, more than 30 days ago',
      '+ 2026-11-01T00:00Z: asked to be kept for 90 days',
    ]);
    expect(keptOf(backups, BARE, { ...deleted, now: NOW + 90 * DAY })).toEqual([]);
  });

  test('those that were deleted are no longer judged, and none is judged by a date that cannot be read', () => {
    expect(told([made('2026-11-26T02:00Z', { state: 'deleted' })])).toEqual([]);
    expect(() => told([{ ...made('2026-11-26T02:00Z'), startedAt: 'yesterday' }])).toThrow('no date of a backup');
  });
});

describe('Whatever backups there are', () => {
  test('[CO-03] exactly those are kept that a count of each one by itself says, for the same reasons', () => {
    fc.assert(
      fc.property(history, (one) => {
        expect(verdicts(one)).toEqual(expected(one));
      }),
      { numRuns: 1000 },
    );
  });

  test('their order changes nothing', () => {
    const shuffled = history.chain((one) => {
      const order = fc.shuffledSubarray(one.backups, { minLength: one.backups.length });
      return fc.tuple(fc.constant(one), order);
    });
    fc.assert(
      fc.property(shuffled, ([one, backups]) => {
        expect(keep(backups, one.policy, one.circumstances)).toEqual(keep(one.backups, one.policy, one.circumstances));
      }),
    );
  });

  test('what is kept is kept again, for the same reasons', () => {
    fc.assert(
      fc.property(history, (one) => {
        const first = [...verdicts(one)].filter(([, reasons]) => reasons !== null);
        expect([...verdicts(cleaned(one))]).toEqual(first);
      }),
    );
  });

  // So nothing that was removed is ever missed: not while states and policy stay as they are.
  test('cleaning at many times keeps what cleaning once in the end would', () => {
    const times = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 6 });
    fc.assert(
      fc.property(history, times, (one, daysBefore) => {
        const { now } = one.circumstances;
        // What is needed by an operation at one time is a matter of that time.
        const backups = one.backups.map((each) => ({ ...each, neededBy: null }));
        const at = (when: number, of: BackupRecord[]) => ({
          ...one,
          backups: of,
          circumstances: { ...one.circumstances, now: when },
        });
        let left: BackupRecord[] = [];
        const come = new Set<BackupRecord>();
        for (const days of [...daysBefore.toSorted((a, b) => b - a), 0]) {
          const when = now - days * DAY;
          const arrived = backups.filter(
            (each) => !come.has(each) && (days === 0 || Date.parse(each.startedAt) <= when),
          );
          for (const each of arrived) come.add(each);
          left = cleaned(at(when, [...left, ...arrived])).backups;
        }
        const ids = (of: BackupRecord[]) => of.map(({ id }) => id);
        expect(ids(left)).toEqual(ids(cleaned(at(now, backups)).backups));
      }),
      { numRuns: 300 },
    );
  });

  test('a policy that keeps more of anything removes nothing more', () => {
    const more = fc.record({ within: fc.nat(9), daily: fc.nat(3), weekly: fc.nat(3), monthly: fc.nat(3) });
    fc.assert(
      fc.property(history, more, ({ policy, ...one }, plus) => {
        const larger = {
          within: policy.within + plus.within,
          daily: policy.daily + plus.daily,
          weekly: policy.weekly + plus.weekly,
          monthly: policy.monthly + plus.monthly,
        };
        const left = new Set(cleaned({ ...one, policy: larger }).backups);
        expect(cleaned({ ...one, policy }).backups.filter((each) => !left.has(each))).toEqual([]);
      }),
    );
  });

  test('while a site exists its last verified and its newest good one stay, and whatever is young', () => {
    fc.assert(
      fc.property(history, (one) => {
        const circumstances = { ...one.circumstances, siteDeletedAt: null };
        const { now } = circumstances;
        const left = new Set(cleaned({ ...one, circumstances }).backups);
        const newestFirst = one.backups
          .filter(({ startedAt, state }) => Date.parse(startedAt) <= now && state !== 'deleted' && state !== 'deleting')
          .toSorted((a, b) => b.startedAt.localeCompare(a.startedAt) || b.id.localeCompare(a.id));
        const lastVerified = newestFirst.find(({ state }) => state === 'verified');
        const newestGood = newestFirst.find(
          ({ state, verifyFailedAt }) => state === 'verified' || (state === 'completed' && !verifyFailedAt),
        );
        const young = newestFirst.filter(({ startedAt }) => now - Date.parse(startedAt) < DAY);
        const missing = [lastVerified, newestGood, ...young].filter((each) => each !== undefined && !left.has(each));
        expect(missing).toEqual([]);
      }),
    );
  });

  test('the policy keeps no more of a kind than it says', () => {
    fc.assert(
      fc.property(history, ({ backups, policy, circumstances }) => {
        const standing = keep(backups, policy, circumstances)
          .filter(({ reasons }) =>
            reasons.some(({ rule }) => rule === 'daily' || rule === 'weekly' || rule === 'monthly'),
          )
          .map(({ backup: { repository, kind } }) => `${repository}/${kind}`);
        const { daily, weekly, monthly } = policy;
        for (const series of new Set(standing)) {
          expect(standing.filter((each) => each === series).length).toBeLessThanOrEqual(daily + weekly + monthly);
        }
      }),
    );
  });
});
