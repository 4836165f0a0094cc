import { z } from 'zod';
import { maybeTime, named, text, time } from './values.js';

export const schedule = named(
  'Schedule',
  z.strictObject({
    name: z.string(),
    does: z.string(),
    state: z.enum(['applied', 'missing', 'differs', 'undeclared']),
    paused: z.boolean(),
    note: text,
    next: maybeTime,
    last: maybeTime,
  }),
);

const hour = z.int();

export const schedules = z.strictObject({ schedules: z.array(schedule) });
export const changed = z.strictObject({ changed: z.array(schedule) });
export const differing = z.strictObject({ differing: z.array(schedule) });
export const wholeSchedule = schedule.extend({
  at: z.union([
    z.strictObject({ hour, minute: z.int(), dayOfWeek: z.literal('SUNDAY').optional() }),
    z.strictObject({ twiceDaily: z.array(hour), minute: z.int() }),
    z.strictObject({ everyMinutes: z.int() }),
  ]),
  windowMinutes: z.int(),
  catchUpMinutes: z.int(),
});
export const paused = z.strictObject({ paused: z.string(), note: z.string() });
export const resumed = z.strictObject({ resumed: z.string() });
export const run = z.strictObject({ run: z.string(), workflow: z.string() });
export const backfilled = z.strictObject({ backfilled: z.string(), from: time, to: time });
