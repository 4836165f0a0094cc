import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  askAgainAfter,
  emergencyAt,
  expiryStage,
  givesUp,
  holdFor,
  isWindow,
  nextStage,
  pauseAfter,
  renewalDue,
  scheduledFor,
} from '../../src/inventory/renewal-schedule.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2026-01-01T00:00:00.000Z');

const iso = (at: number) => new Date(at).toISOString();
const lasting = (hours: number, from = START) => ({ notBefore: iso(from), notAfter: iso(from + hours * HOUR) });

const lives = fc
  .record({ from: fc.integer({ min: START, max: START + 1000 * DAY }), hours: fc.integer({ min: 1, max: 400 * 24 }) })
  .map(({ from, hours }) => lasting(hours, from));
const keys = fc.string({ minLength: 1 });

describe('a certificate is to be renewed', () => {
  test.each([
    ['90 days', 90 * 24, 60 * 24],
    ['45 days', 45 * 24, 30 * 24],
    ['160 hours', 160, 80],
    ['398 days', 398 * 24, (398 * 24 * 2) / 3],
  ])('of %s: about %i hours long, after %i, whoever it is', (_, hours, due) => {
    const life = lasting(hours);
    expect(renewalDue(life)).toBeCloseTo(START + due * HOUR, -1);
    fc.assert(
      fc.property(keys, (key) => {
        const away = Math.abs(scheduledFor(life, null, key) - renewalDue(life));
        expect(away).toBeLessThanOrEqual((hours * HOUR) / 100);
      }),
    );
  });

  test('within its lifetime, before its emergency, and at the same instant whenever it is asked', () => {
    fc.assert(
      fc.property(lives, keys, (life, key) => {
        const at = scheduledFor(life, null, key);
        expect(at).toBe(scheduledFor(life, null, key));
        expect(at).toBeGreaterThan(Date.parse(life.notBefore));
        expect(at).toBeLessThanOrEqual(emergencyAt(life));
        expect(emergencyAt(life)).toBeLessThan(Date.parse(life.notAfter));
      }),
    );
  });

  test('at an instant of the authority’s window, but never later than its emergency', () => {
    const windows = fc.record({ at: fc.integer({ min: -500, max: 500 }), hours: fc.integer({ min: 1, max: 1000 }) });
    fc.assert(
      fc.property(lives, keys, windows, (life, key, { at, hours }) => {
        const [start, end] = [START + at * DAY, START + at * DAY + hours * HOUR];
        const scheduled = scheduledFor(life, { start: iso(start), end: iso(end) }, key);
        const latest = emergencyAt(life);
        expect(scheduled).toBeLessThanOrEqual(Math.min(end, latest));
        expect(scheduled).toBeGreaterThanOrEqual(Math.min(start, latest));
      }),
    );
  });

  test('at instants that are spread: of a thousand alike no hundredth of the span gets many', () => {
    const life = lasting(90 * 24);
    const span = (90 * DAY) / 50;
    const slots = Array.from({ length: 1000 }, (_, n) => {
      return Math.floor((100 * (scheduledFor(life, null, `key ${n}`) - (renewalDue(life) - span / 2))) / span);
    });
    const most = Math.max(...[...new Set(slots)].map((slot) => slots.filter((one) => one === slot).length));
    expect(most).toBeLessThan(30);
  });
});

describe('after failures', () => {
  test('it is tried again after 1, 10 and 100 minutes, then each day', () => {
    const life = lasting(90 * 24);
    const due = renewalDue(life);
    const pauses = [1, 2, 3, 4, 5, 30].map((n) => pauseAfter(n, life, due, 'key') / MINUTE);
    const wanted = [1, 10, 100, 1440, 1440, 1440];
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(wanted[index] ?? 0);
      expect(pause).toBeLessThanOrEqual(1.1 * (wanted[index] ?? 0));
    }
  });

  test('more often near the end, but no more than about once an hour, so that no limit on failed validations is met', () => {
    fc.assert(
      fc.property(lives, keys, fc.double({ min: 0, max: 0.99, noNaN: true }), (life, key, part) => {
        const [from, until] = [Date.parse(life.notBefore), Date.parse(life.notAfter)];
        const now = from + part * (until - from);
        for (const failures of [3, 4, 10]) {
          const pause = pauseAfter(failures, life, now, key);
          expect(pause).toBeGreaterThanOrEqual(HOUR);
          expect(pause).toBeLessThanOrEqual(1.1 * Math.max(HOUR, Math.min(DAY, (until - now) / 10)));
        }
      }),
    );
  });

  test('whatever happens, it fails at most four times in any hour', () => {
    fc.assert(
      fc.property(lives, keys, (life, key) => {
        let now = renewalDue(life);
        const tries: number[] = [];
        for (let failures = 1; failures <= 40; failures += 1) {
          tries.push(now);
          now += pauseAfter(failures, life, now, key);
        }
        for (const at of tries) {
          expect(tries.filter((one) => one >= at && one < at + HOUR).length).toBeLessThanOrEqual(4);
        }
      }),
    );
  });

  test('it is tried for 30 days at least, and as long as the certificate lasts', () => {
    const life = lasting(45 * 24);
    const since = renewalDue(life);
    expect(givesUp(life, since, since + 30 * DAY - 1)).toBe(false);
    expect(givesUp(life, since, since + 30 * DAY)).toBe(true);
    const long = lasting(398 * 24);
    expect(givesUp(long, renewalDue(long), renewalDue(long) + 100 * DAY)).toBe(false);
  });

  test('an authority is left alone for as long as it asks, up to a week', () => {
    expect([0, 3600, 43_200, 1e12, -5].map((seconds) => holdFor(seconds) / HOUR)).toEqual([0, 1, 12, 168, 0]);
  });
});

describe('an authority', () => {
  test.each([
    [null, true, 6 * HOUR],
    [21_600, true, 6 * HOUR],
    [1, true, MINUTE],
    [1e9, true, 12 * HOUR],
    [null, false, 6 * HOUR],
  ])('that says to ask again in %s s (answered: %s) is asked again in %i ms', (seconds, answered, wait) => {
    expect(askAgainAfter(seconds, answered)).toBe(wait);
  });

  test('whose window ends before it begins has told none', () => {
    expect(isWindow({ start: iso(START), end: iso(START + 1) })).toBe(true);
    expect(isWindow({ start: iso(START), end: iso(START) })).toBe(false);
  });
});

test('is told of when it is overdue, at a fifth, at a twentieth and at the end', () => {
  const life = lasting(100 * 24);
  const due = renewalDue(life);
  const told: [string | null, number][] = [];
  for (let at = START; ;) {
    const next = nextStage(life, due, at);
    if (next === null) break;
    at = next;
    told.push([expiryStage(life, due, at), Math.round((at - START) / HOUR)]);
  }
  expect(told).toEqual([
    ['overdue', 1624],
    ['fifth', 1920],
    ['twentieth', 2280],
    ['expired', 2400],
  ]);
  expect(expiryStage(life, due, due)).toBeNull();
});
