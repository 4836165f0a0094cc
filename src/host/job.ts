import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { failure } from '../workflows/failures.js';
import { OUTPUT_BYTES } from './capture.js';
import type { Connection } from './connection.js';
import type { Job, Output } from './host.js';
import { readEnd } from './job-end.js';
import { startOrFollow, stopAttempt, stopOthers, stopSlice } from './job-start.js';
import { attemptOf, placeOf, sliceOf } from './job-unit.js';
import type { Script } from './shell.js';

/** A lost connection is made again for so long: a network's hiccup, a restart of sshd, a quick reboot. */
const REATTACH_MILLISECONDS = 90_000;
/** What may pass before and after the job itself: another starter, a claim's lock, the end of an earlier attempt. */
const AROUND_SECONDS = 240;
const STOP_SECONDS = 180;

/**
 * Runs a job or follows it to its end (docs/operations.md, "Jobs on a host"). Where the connection is lost, it is made
 * again and the job followed on: the same script finds the live unit, or its record. See `Host.job` for the signals.
 * Failures: those of a connection, and what became of the job: Interrupted, TimedOut, DiskFull, StaleClaim, Busy,
 * Superseded, CommandFailed where it could not be started. A program's own exit code is no failure here.
 */
export async function runJob(
  connection: Connection,
  job: Job,
  { signal, detach }: { signal?: AbortSignal; detach?: AbortSignal } = {},
): Promise<Output> {
  const server = connection.login.name;
  const place = placeOf(job);
  const script = startOrFollow(job, place);
  const either = AbortSignal.any([signal, detach].filter((one) => one !== undefined));
  const began = performance.now();
  try {
    const result = await followed(connection, script, job.limitSeconds + AROUND_SECONDS, either);
    return { ...readEnd(result, job, server), milliseconds: performance.now() - began };
  } catch (error) {
    // Listeners of one signal may abort the other in the same turn.
    await sleep(0);
    if (signal?.aborted === true) {
      await stopped(connection, stopAttempt(place), `${job.step} of ${job.operation}`);
      throw signal.reason;
    }
    if (detach?.aborted === true) {
      throw failure('ConnectionLost', `CHOM left ${job.step} of ${job.operation} running on ${server}`, { server });
    }
    throw error;
  }
}

/** Stops every unit of a root operation and its children, and waits until no process of theirs is left. See `Host.stop`. */
export async function stopJobs(
  connection: Connection,
  root: string,
  { signal, except }: { signal?: AbortSignal; except?: string } = {},
): Promise<void> {
  const slice = sliceOf(root);
  const script = except === undefined ? stopSlice(slice) : stopOthers(slice, attemptOf(except));
  await stopped(connection, script, `operation ${root}`, signal);
}

async function followed(connection: Connection, script: Script, limitSeconds: number, signal: AbortSignal) {
  let lostAt: number | null = null;
  for (;;) {
    const began = performance.now();
    try {
      return await connection.runLong({ script, limitSeconds, signal, stdoutBytes: OUTPUT_BYTES + 1_000 });
    } catch (error) {
      signal.throwIfAborted();
      const type = error instanceof ApplicationFailure ? error.type : undefined;
      const lost = type === 'ConnectionLost';
      // A first login that fails is the attempt's failure; one in the middle of a job is part of the same outage.
      if (!lost && !(lostAt !== null && (type === 'Unreachable' || type === 'Penalised'))) throw error;
      if (lostAt === null || (lost && performance.now() - began > REATTACH_MILLISECONDS)) lostAt = performance.now();
      if (performance.now() - lostAt > REATTACH_MILLISECONDS) throw error;
      await sleep(100, undefined, { signal });
    }
  }
}

async function stopped(connection: Connection, script: Script, what: string, signal?: AbortSignal): Promise<void> {
  const server = connection.login.name;
  const { exit } = await connection.run({ script, limitSeconds: STOP_SECONDS, ...(signal && { signal }) });
  if (exit === 0) return;
  throw failure('CommandFailed', `Not every process of ${what} could be stopped on ${server}`, {
    server,
    cause: 'A program hangs in the kernel, or the disk is full',
    next: `systemctl status 'chom-*' (on ${server})`,
  });
}
