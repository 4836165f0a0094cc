import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { calendar, DAY_MILLISECONDS } from '../../src/inventory/calendar.js';

const at = (time: string, timezone = 'UTC') => calendar(timezone)(Date.parse(time));

test.each([
  // 2026 has 53 weeks; the first days of 2027 are still of its last one.
  ['2026-12-27T23:59:59.999Z', '2026-12-27', '2026-W52', '2026-12'],
  ['2026-12-28T00:00:00.000Z', '2026-12-28', '2026-W53', '2026-12'],
  ['2027-01-03T23:59:59.999Z', '2027-01-03', '2026-W53', '2027-01'],
  ['2027-01-04T00:00:00.000Z', '2027-01-04', '2027-W01', '2027-01'],
  // Here the last days of a year are of the next one's first week.
  ['2024-12-29T12:00:00.000Z', '2024-12-29', '2024-W52', '2024-12'],
  ['2024-12-30T12:00:00.000Z', '2024-12-30', '2025-W01', '2024-12'],
  ['2028-02-29T12:00:00.000Z', '2028-02-29', '2028-W09', '2028-02'],
])('%s is of %s, %s and %s', (time, day, week, month) => {
  expect(at(time)).toEqual({ day, week, month });
});

test('by the clock of a timezone', () => {
  expect(at('2026-12-31T18:15:00Z', 'Asia/Kathmandu')).toEqual({
    day: '2027-01-01',
    week: '2026-W53',
    month: '2027-01',
  });
  expect(at('2027-01-04T04:59:00Z', 'America/New_York').week).toBe('2026-W53');
  // One day, 25 hours long, with one hour twice; and one of 23.
  expect(at('2026-10-24T22:00:00Z', 'Europe/Berlin').day).toBe('2026-10-25');
  expect(at('2026-10-25T22:59:00Z', 'Europe/Berlin').day).toBe('2026-10-25');
  expect(at('2026-03-29T21:59:00Z', 'Europe/Berlin').day).toBe('2026-03-29');
  expect(at('2026-03-29T22:00:00Z', 'Europe/Berlin').day).toBe('2026-03-30');
  // Samoa went over the date line: it had no 30 December.
  expect(at('2011-12-30T09:59:00Z', 'Pacific/Apia').day).toBe('2011-12-29');
  expect(at('2011-12-30T10:00:00Z', 'Pacific/Apia').day).toBe('2011-12-31');
});

test('a week is seven days that begin on Monday, and the next one has the next number or is the first', () => {
  const any = fc.date({ min: new Date('1971-01-01'), max: new Date('2399-01-01'), noInvalidDate: true });
  fc.assert(
    fc.property(any, (date) => {
      const days = [0, 1, 2, 3, 4, 5, 6, 7].map((more) => new Date(date.getTime() + more * DAY_MILLISECONDS));
      const weeks = days.map((day) => calendar('UTC')(day.getTime()).week);
      const changes = days.filter((_, n) => n > 0 && weeks[n] !== weeks[n - 1]);
      expect(changes.map((day) => day.getUTCDay())).toEqual([1]);
      const [before = '', after = ''] = [weeks[0], weeks[7]];
      const number = (week: string) => Number(week.slice(6));
      const next = number(before) === 53 ? [1] : number(before) === 52 ? [53, 1] : [number(before) + 1];
      expect(next).toContain(number(after));
      expect(after > before).toBe(true);
    }),
  );
});

test.each(['', 'Mars/Olympus', 'UTC\n', '+25:00'])('%j is no timezone', (timezone) => {
  expect(() => calendar(timezone)).toThrow('There is no timezone');
});
