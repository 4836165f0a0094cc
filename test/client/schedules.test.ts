import { expect, test } from 'vitest';
import { SCHEDULED_WORK } from '../../src/client/scheduled-work.js';
import { SCHEDULES, type Recurrence } from '../../src/schedules.js';

const DAY = 24 * 60;

/** The time between two runs, in minutes. */
function period(at: Recurrence): number {
  if ('everyMinutes' in at) return at.everyMinutes;
  if ('twiceDaily' in at) return DAY / 2;
  return at.dayOfWeek === undefined ? DAY : 7 * DAY;
}

const of = (name: string) => SCHEDULES.find((one) => one.name === name);

test('[SC-01] each schedule that is promised is declared, with its time', () => {
  expect(of('back-up-control-plane')?.at).toEqual({ hour: 2, minute: 0 });
  expect(of('clean-backups')?.at).toEqual({ hour: 3, minute: 0, dayOfWeek: 'SUNDAY' });
  expect(of('rotate-credentials')?.at).toEqual({ hour: 4, minute: 0 });
  expect(of('check-queues')?.at).toEqual({ everyMinutes: 5 });
  expect(period(of('back-up-sites')!.at)).toBe(DAY);
  expect(period(of('renew-certificates')!.at)).toBe(DAY / 2);
  expect(period(of('check-servers')!.at)).toBeLessThanOrEqual(60);
  expect(period(of('optimise-databases')!.at)).toBe(7 * DAY);
});

test('a run is over before the next one, and is not made up for when that is near', () => {
  for (const { at, windowMinutes, catchUpMinutes } of SCHEDULES) {
    expect(windowMinutes).toBeLessThan(period(at));
    expect(catchUpMinutes).toBeLessThan(period(at));
  }
});

test('there is work for each, and each is declared once', () => {
  const names = SCHEDULES.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.toSorted()).toEqual(Object.keys(SCHEDULED_WORK).toSorted());
});
