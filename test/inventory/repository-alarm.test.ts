import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { alarm, type FoundSnapshot, type RecordedBackup } from '../../src/inventory/repository-alarm.js';
import { keep, SAFETY_TAG } from '../../src/inventory/retention.js';
import { DEFAULT_RETENTION } from '../../src/workflows/retention-policy.js';
import { DAY, HOUR, iso } from './retention-history.js';

const NOW = Date.parse('2026-11-26T12:00:00Z');
const hex = (text: string) => createHash('sha256').update(text).digest('hex');

/** The nth night ago. */
function night(n: number, more: Partial<RecordedBackup> = {}): RecordedBackup {
  return {
    ...{ id: `b${n}`, operation: `op${n}`, repository: 'r', kind: 'full', state: 'completed', tag: 'scheduled' },
    ...{ startedAt: iso(NOW - n * DAY - HOUR), retentionDays: null, bytes: 100_000_000 },
    ...{ snapshots: [hex(`files${n}`), hex(`data${n}`)], ...more },
  };
}
const nights = (count: number, more: Partial<RecordedBackup> = {}) =>
  Array.from({ length: count }, (_, n) => night(n, more));
/** What such records leave in a repository. */
const stored = (records: readonly RecordedBackup[]): FoundSnapshot[] =>
  records
    .filter(({ state }) => state !== 'deleted')
    .flatMap(({ snapshots, startedAt, operation }) => snapshots.map((id) => ({ id, time: startedAt, operation })));
const look = (records: RecordedBackup[], found: FoundSnapshot[], spare: string[] = []) =>
  alarm(records, found, { now: NOW, spare: new Set(spare) });
const whats = (records: RecordedBackup[], found: FoundSnapshot[], spare: string[] = []) =>
  look(records, found, spare).map(({ what, stops }) => (stops ? `${what}!` : what));
const stranger = (n: number, more: Partial<FoundSnapshot> = {}): FoundSnapshot => ({
  ...{ id: hex(`foreign${n}`), time: iso(NOW - n * HOUR), operation: null },
  ...more,
});

test('seven planted ones of the future are told of, stop nothing, and change no verdict', () => {
  const records = nights(60);
  const planted = [1, 2, 3, 4, 5, 6, 7].map((n) => stranger(n, { time: iso(NOW + n * DAY) }));
  const first = planted.slice(0, 5).map(({ id }) => id.slice(0, 8));
  expect(look(records, [...planted, ...stored(records)])).toEqual([
    {
      what: 'future',
      stops: false,
      ids: planted.map(({ id }) => id),
      message: `Snapshots dated in the future: ${first.join(', ')} and 2 more`,
    },
    expect.objectContaining({ what: 'foreign', stops: false, ids: planted.map(({ id }) => id) }),
  ]);
  const kept = keep(records, DEFAULT_RETENTION, { now: NOW }).filter((one) => one.keep);
  expect(kept.map(({ backup }) => backup.id).slice(0, 8)).toEqual(['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b11']);
});

test('those by somebody’s own hand are told of, however many, and the first five by name', () => {
  const records = nights(3);
  expect(whats(records, [...stored(records), ...[1, 2, 3].map((n) => stranger(n))])).toEqual(['foreign']);
  expect(whats(records, [...stored(records), ...[1, 2, 3, 4].map((n) => stranger(n))])).toEqual(['foreign']);
  const message = (count: number) =>
    look(
      [],
      Array.from({ length: count }, (_, n) => stranger(n)),
    )[0]?.message;
  expect(message(5)).not.toContain('more');
  expect(message(6)).toMatch(/ and 1 more$/);
});

test('what an operation made and its worker did not live to record is told of by itself, as far as that can be', () => {
  const records = [...nights(2), night(2, { state: 'failed', snapshots: [] })];
  const lost = Array.from({ length: 9 }, (_, n) => stranger(n, { operation: 'op2' }));
  expect(whats(records, [...stored(records), ...lost])).toEqual(['unrecorded']);
  expect(whats(records, [...stored(records), ...lost, stranger(9, { operation: 'op2' })])).toEqual([
    'foreign',
    'unrecorded',
  ]);
  expect(whats(records, [...stored(records), stranger(1, { operation: 'unheard-of' })])).toEqual(['foreign']);
});

test('an hour of the clock is nothing, more is; a date that cannot be read is none of the past', () => {
  const records = nights(2);
  const dated = (time: string) => whats(records, [...stored(records), stranger(1, { time })]);
  expect(dated(iso(NOW + HOUR))).toEqual(['foreign']);
  expect(dated(iso(NOW + HOUR + 1))).toEqual(['future', 'foreign']);
  expect(dated('next week')).toEqual(['future', 'foreign']);
  // As restic writes it.
  expect(dated('2026-11-26T13:59:59.123456789+01:00')).toEqual(['foreign']);
  expect(dated('2026-11-26T13:59:59.123456789-01:00')).toEqual(['future', 'foreign']);
});

test('that CHOM’s own clock was wrong stops as well', () => {
  const records = [night(-1), ...nights(2)];
  const found = stored(records).map((one) => ({ ...one, time: iso(NOW) }));
  expect(look(records, found)).toEqual([
    { what: 'future', stops: true, ids: ['b-1'], message: 'Backups dated in the future: b-1' },
  ]);
  expect(look([night(-1, { state: 'deleted' })], [])).toEqual([]);
  // Nor does it hide that the site is empty.
  const emptied = [night(-1), night(0, { bytes: 0 }), ...nights(9).slice(1)];
  expect(
    whats(
      emptied,
      stored(emptied).map((one) => ({ ...one, time: iso(NOW) })),
    ),
  ).toEqual(['future!', 'collapse!']);
});

test.each(['partial', 'completed', 'verified'] as const)('of a %s backup no snapshot may be gone', (state) => {
  const records = [night(0), night(1, { state })];
  const found = stored(records).filter(({ id }) => id !== records[1]?.snapshots[1]);
  expect(look(records, found)).toEqual([
    {
      ...{ what: 'missing', stops: true, ids: ['b1'] },
      message: 'Backups that are no longer whole in the repository: b1',
    },
  ]);
  // It was to go anyway: a cleaning was interrupted between restic and the record.
  expect(whats(records, found, ['b1'])).toEqual([]);
});

test('a backup without snapshots is not whole', () => {
  expect(whats([night(0, { snapshots: [] })], [])).toEqual(['missing!']);
});

test('what was deleted and is there is told of', () => {
  const records = [night(0), night(1, { state: 'deleted' })];
  expect(whats(records, stored([night(0), night(1)]))).toEqual(['left-over']);
});

test('a site that is suddenly less than half stops, until it has been so for some nights', () => {
  const shrunk = (nightsAgo: number, bytes = 40_000_000) =>
    nights(20).map((one, n) => (n < nightsAgo ? { ...one, bytes } : one));
  const seen = (records: RecordedBackup[]) => whats(records, stored(records));
  expect(seen(shrunk(1))).toEqual(['collapse!']);
  expect(seen(shrunk(1, 50_000_000))).toEqual([]);
  expect(seen(shrunk(1, 0))).toEqual(['collapse!']);
  expect([1, 2, 3, 4, 5, 6].map((n) => seen(shrunk(n)).length)).toEqual([1, 1, 1, 1, 0, 0]);
  // Of two before it the larger one counts.
  expect(seen(shrunk(2).slice(0, 3))).toEqual(['collapse!']);
  expect(look(shrunk(1), stored(shrunk(1)))[0]).toMatchObject({
    ids: ['b0'],
    message: 'Backup b0 has 40000000 bytes, those before it had 100000000',
  });
});

test.each([
  ['a small site', nights(9).map((one, n) => ({ ...one, bytes: n === 0 ? 1 : 1_000_000 }))],
  ['another kind', [night(0, { kind: 'database', bytes: 1000 }), ...nights(9).slice(1)]],
  ['one that failed', [night(0, { state: 'failed', bytes: 1000 }), ...nights(9).slice(1)]],
  ['what a restore was to end', [night(0, { tag: SAFETY_TAG, bytes: 1000 }), ...nights(9).slice(1)]],
  ['the first one', [night(0, { bytes: 1000 })]],
  ['one whose size is not known', [night(0, { bytes: null }), ...nights(9).slice(1)]],
])('the size of %s is no alarm', (_, records) => {
  expect(whats(records, stored(records))).toEqual([]);
});

const records = fc
  .array(
    fc.record({
      kind: fc.constantFrom<RecordedBackup['kind']>('full', 'files', 'database'),
      state: fc.constantFrom<RecordedBackup['state']>(
        ...(['creating', 'partial', 'completed', 'verified', 'failed', 'deleted'] as const),
      ),
    }),
    { maxLength: 30 },
  )
  .map((all) => all.map((one, n) => night(n, one)));
const planted = fc.array(
  fc.record({
    time: fc.oneof(
      fc.constant('never'),
      fc.integer({ min: -900, max: 900 }).map((days) => iso(NOW + days * DAY)),
    ),
    operation: fc.constantFrom(null, 'op0', 'op1', 'op99'),
  }),
  { maxLength: 30 },
);

test('in a repository as CHOM left it there is nothing to tell', () => {
  fc.assert(
    fc.property(records, (all) => {
      expect(look(all, stored(all))).toEqual([]);
    }),
  );
});

test('every planted one is told of once, and none passes for one of CHOM’s', () => {
  fc.assert(
    fc.property(records, planted, (all, more) => {
      const strangers = more.map((one, n) => stranger(n, one));
      const findings = look(all, [...strangers, ...stored(all)]);
      const told = findings.filter(({ what }) => what === 'foreign' || what === 'unrecorded');
      expect(told.flatMap(({ ids }) => ids).toSorted()).toEqual(strangers.map(({ id }) => id).toSorted());
      expect(findings.map(({ what }) => what)).not.toContain('missing');
      const late = strangers.filter(({ time }) => time === 'never' || Date.parse(time) > NOW + HOUR);
      expect(findings.filter(({ what }) => what === 'future').flatMap(({ ids }) => ids)).toEqual(
        late.map(({ id }) => id),
      );
      expect(findings.filter((one) => one.stops)).toEqual([]);
    }),
  );
});

test('whatever else lies there, a backup that lost a snapshot is named', () => {
  fc.assert(
    fc.property(records, planted, fc.nat(), (all, more, which) => {
      const whole = all.filter(({ state }) => ['partial', 'completed', 'verified'].includes(state));
      fc.pre(whole.length > 0);
      const victim = whole[which % whole.length]!;
      const found = [...more.map((one, n) => stranger(n, one)), ...stored(all)];
      const left = found.filter(({ id }) => id !== victim.snapshots[which % 2]);
      const [first] = look(all, left);
      expect(first).toMatchObject({ what: 'missing', stops: true, ids: [victim.id] });
    }),
  );
});
