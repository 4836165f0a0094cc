import type { ScheduledWork } from './workflows/run-schedule.js';

/** When a schedule runs, in the installation's timezone (CHOM_TIMEZONE). */
export type Recurrence =
  | { hour: number; minute: number; dayOfWeek?: 'SUNDAY' }
  | { twiceDaily: readonly [hour: number, hour: number]; minute: number }
  | { everyMinutes: number };

export interface Schedule {
  /** What it does; also its name: in Temporal it is called `chom-<name>`. */
  name: ScheduledWork;
  /** One line for people. */
  does: string;
  at: Recurrence;
  /** What it asks for is spread over so many minutes, each thing at its own, always the same, moment; 0: all at once. */
  windowMinutes: number;
  /** After an outage a run that was missed is made up for within so many minutes; then the next one has to do. */
  catchUpMinutes: number;
}

const DAY = 24 * 60;

/**
 * Every schedule. All of them skip a run while the one before still goes on: it asks for the same things, which stand in
 * line already. How late a missed run may be is a little less than the time to the next one, where what it does must not
 * be left out (a backup by day is better than none); what is looked at again soon is not made up for.
 */
export const SCHEDULES: readonly Schedule[] = [
  {
    name: 'back-up-sites',
    does: 'a full backup of every live site',
    at: { hour: 0, minute: 30 },
    windowMinutes: 5 * 60,
    catchUpMinutes: 20 * 60,
  },
  {
    name: 'back-up-control-plane',
    does: 'a backup of CHOM itself, encrypted, tried out and laid down at CHOM_BACKUP_STORAGE',
    at: { hour: 2, minute: 0 },
    windowMinutes: 0,
    catchUpMinutes: 20 * 60,
  },
  {
    name: 'clean-backups',
    does: 'removes the backups that no policy keeps',
    at: { hour: 3, minute: 0, dayOfWeek: 'SUNDAY' },
    windowMinutes: 3 * 60,
    catchUpMinutes: 6 * DAY,
  },
  {
    name: 'rotate-credentials',
    does: 'gives servers another key whose own is older than 90 days, one server after the other',
    at: { hour: 4, minute: 0 },
    windowMinutes: 0,
    catchUpMinutes: 20 * 60,
  },
  {
    name: 'verify-backups',
    does: 'restores the newest backup of each site for a trial, of each about once a month',
    at: { hour: 5, minute: 30 },
    windowMinutes: 3 * 60,
    catchUpMinutes: 12 * 60,
  },
  {
    name: 'renew-certificates',
    does: 'looks for certificates that are due and that nobody renews; workers do so every minute besides',
    at: { twiceDaily: [6, 18], minute: 17 },
    windowMinutes: 0,
    catchUpMinutes: 10 * 60,
  },
  {
    name: 'optimise-databases',
    does: 'keeps the databases of sites in order',
    at: { hour: 1, minute: 30, dayOfWeek: 'SUNDAY' },
    windowMinutes: 90,
    catchUpMinutes: 5 * 60,
  },
  {
    name: 'check-servers',
    does: 'looks at every server and its sites, and tells of what is wrong and of what is gone',
    at: { everyMinutes: 30 },
    windowMinutes: 20,
    catchUpMinutes: 5,
  },
  {
    name: 'check-queues',
    does: 'tells of failed operations, of too many that wait, and of workers that are away',
    at: { everyMinutes: 5 },
    windowMinutes: 0,
    catchUpMinutes: 1,
  },
];
