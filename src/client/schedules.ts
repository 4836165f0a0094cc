import { createHash } from 'node:crypto';
import {
  type Client,
  type ScheduleDescription,
  type ScheduleHandle,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  type ScheduleOptions,
  type ScheduleSpec,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import type { Config } from '../config.js';
import { type Recurrence, type Schedule, SCHEDULES } from '../schedules.js';
import { failure } from '../workflows/failures.js';
import type { ScheduledRun } from '../workflows/run-schedule.js';
import { messageOf } from '../workflows/thrown.js';
import type { TemporalAddress } from './connection.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

/** Of Temporal's schedules these are CHOM's. */
export const SCHEDULE_PREFIX = 'chom-';
const LIMIT_MS = 30_000;

/** What a schedule in Temporal has to become the one that is declared. */
export type ScheduleState = 'applied' | 'missing' | 'differs' | 'undeclared';

/** A schedule as it is declared, as Temporal has it, or both. */
export interface KnownSchedule {
  name: string;
  does: string;
  state: ScheduleState;
  paused: boolean;
  /** Why it is paused, as whoever did so says. */
  note: string | null;
  /** ISO-8601 UTC. */
  next: string | null;
  last: string | null;
}

type Temporal = Client & TemporalAddress;

/** All of them, those that are declared first and in their order. @throws TemporalUnavailable */
export async function listSchedules(chom: Chom): Promise<KnownSchedule[]> {
  return await asking(chom, async (temporal) => {
    const declared = SCHEDULES.map(async (schedule) => await known(temporal, chom.config, schedule));
    const others = (await undeclared(temporal)).map(async (id) =>
      described(id, await find(temporal.schedule.getHandle(id))),
    );
    return await Promise.all([...declared, ...others]);
  });
}

/**
 * Makes Temporal's schedules those that are declared. Applied again it changes nothing; one that somebody paused stays paused, and
 * those that are not declared (any more) stay unless `prune`. Returns what was not as declared before. @throws TemporalUnavailable
 */
export async function applySchedules(chom: Chom, { prune = false } = {}): Promise<KnownSchedule[]> {
  const before = (await listSchedules(chom)).filter(({ state }) => state !== 'applied');
  await asking(chom, async (temporal) => {
    for (const { name, state } of before) {
      const schedule = SCHEDULES.find((one) => one.name === name);
      if (schedule) await apply(temporal, chom.config, schedule);
      else if (state === 'undeclared' && prune) await temporal.schedule.getHandle(SCHEDULE_PREFIX + name).delete();
    }
  });
  return before;
}

/** @throws NotFound it is not declared, or not applied; TemporalUnavailable */
export async function pauseSchedule(chom: Chom, name: string, note: string): Promise<void> {
  await onHandle(chom, name, async (handle) => await handle.pause(note));
}

/** @throws as `pauseSchedule` */
export async function resumeSchedule(chom: Chom, name: string): Promise<void> {
  await onHandle(chom, name, async (handle) => await handle.unpause());
}

/**
 * Runs it now, paused or not, and all at once instead of spread over its window. Returns the id of the run's workflow.
 * @throws InvalidInput there is none of that name; Busy such a run goes on; TemporalUnavailable
 */
export async function runScheduleNow(chom: Chom, text: string): Promise<string> {
  const schedule = scheduleNamed(text);
  const workflowId = `${SCHEDULE_PREFIX}${schedule.name}-now`;
  const { action } = optionsOf({ ...schedule, windowMinutes: 0 }, chom.config);
  const { workflowType, taskQueue, args, staticSummary } = action;
  await asking(chom, async (temporal) => {
    try {
      await temporal.workflow.start(workflowType, { workflowId, taskQueue, args, staticSummary });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      throw failure('Busy', `A run of ${schedule.name} goes on`, { next: `temporal workflow show -w ${workflowId}` });
    }
  });
  return workflowId;
}

/** Runs it for each time from `start` to `end` at which it was due, one after the other. @throws as `pauseSchedule` */
export async function backfillSchedule(chom: Chom, name: string, start: Date, end: Date): Promise<void> {
  await onHandle(chom, name, async (handle) => await handle.backfill({ start, end, overlap: 'BUFFER_ALL' }));
}

/** The one of that name. @throws InvalidInput there is none */
export function scheduleNamed(text: string): Schedule {
  const found = SCHEDULES.find(({ name }) => name === text);
  if (found) return found;
  throw failure('InvalidInput', `There is no schedule ${quoted(text)}`, {
    cause: `there are ${SCHEDULES.map(({ name }) => name).join(', ')}`,
  });
}

async function apply(temporal: Temporal, config: Config, schedule: Schedule): Promise<void> {
  const options = optionsOf(schedule, config);
  try {
    await temporal.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // Its state is taken over: without it the SDK would resume what is paused.
    await temporal.schedule.getHandle(options.scheduleId).update(({ state }) => ({ ...options, state }));
  }
}

function optionsOf(schedule: Schedule, config: Config) {
  const { taskQueue, timezone } = config;
  const { name, does, windowMinutes, catchUpMinutes } = schedule;
  const run: ScheduledRun = { work: name, definition: definitionOf(schedule, config), windowMinutes };
  return {
    scheduleId: SCHEDULE_PREFIX + name,
    spec: specOf(schedule.at, timezone),
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'runSchedule',
      workflowId: SCHEDULE_PREFIX + name,
      taskQueue,
      args: [run],
      staticSummary: does,
    },
    policies: { overlap: 'SKIP' as const, catchupWindow: catchUpMinutes * 60_000 },
  } satisfies ScheduleOptions;
}

function specOf(at: Recurrence, timezone: string): ScheduleSpec {
  if ('everyMinutes' in at) return { intervals: [{ every: at.everyMinutes * 60_000 }] };
  if ('twiceDaily' in at) return { calendars: at.twiceDaily.map((hour) => ({ hour, minute: at.minute })), timezone };
  return { calendars: [at], timezone };
}

/** What tells a schedule that was changed, in the code or by its settings, from the one that was applied. */
function definitionOf(schedule: Schedule, settings: { taskQueue: string; timezone: string }): string {
  return createHash('sha256')
    .update(JSON.stringify([schedule, settings]))
    .digest('hex')
    .slice(0, 16);
}

async function known(temporal: Temporal, config: Config, schedule: Schedule): Promise<KnownSchedule> {
  const found = await find(temporal.schedule.getHandle(SCHEDULE_PREFIX + schedule.name));
  const about = described(schedule.name, found);
  if (!found) return { ...about, does: schedule.does };
  const [run] = (found.action.args ?? []) as Partial<ScheduledRun>[];
  const same = run?.definition === definitionOf(schedule, config);
  return { ...about, does: schedule.does, state: same ? 'applied' : 'differs' };
}

function described(id: string, found: ScheduleDescription | null): KnownSchedule {
  const name = id.startsWith(SCHEDULE_PREFIX) ? id.slice(SCHEDULE_PREFIX.length) : id;
  if (!found) return { name, does: '', state: 'missing', paused: false, note: null, next: null, last: null };
  const { state, info } = found;
  return {
    ...{ name, does: '', state: 'undeclared', paused: state.paused, note: state.note || null },
    next: info.nextActionTimes[0]?.toISOString() ?? null,
    last: info.recentActions.at(-1)?.takenAt.toISOString() ?? null,
  };
}

/** Ids of CHOM's schedules that are not declared. */
async function undeclared(temporal: Temporal): Promise<string[]> {
  const declared = new Set(SCHEDULES.map(({ name }) => SCHEDULE_PREFIX + name));
  const found: string[] = [];
  for await (const { scheduleId } of temporal.schedule.list()) {
    if (scheduleId.startsWith(SCHEDULE_PREFIX) && !declared.has(scheduleId)) found.push(scheduleId);
  }
  return found.sort();
}

async function find(handle: ScheduleHandle): Promise<ScheduleDescription | null> {
  try {
    return await handle.describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}

async function onHandle(chom: Chom, text: string, act: (handle: ScheduleHandle) => Promise<void>): Promise<void> {
  const { name } = scheduleNamed(text);
  await asking(chom, async (temporal) => {
    try {
      await act(temporal.schedule.getHandle(SCHEDULE_PREFIX + name));
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
      throw failure('NotFound', `Schedule ${name} is not in Temporal yet`, { next: 'chom schedule apply' });
    }
  });
}

async function asking<Result>(chom: Chom, ask: (temporal: Temporal) => Promise<Result>): Promise<Result> {
  const temporal = await chom.temporal();
  try {
    return await temporal.withDeadline(Date.now() + LIMIT_MS, async () => await ask(temporal));
  } catch (error) {
    if (error instanceof Error && error.name === 'ApplicationFailure') throw error;
    throw failure('TemporalUnavailable', 'Temporal does not tell of its schedules', {
      cause: messageOf(error),
      next: 'chom doctor',
    });
  }
}
