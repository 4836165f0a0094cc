import { proxyActivities } from '@temporalio/workflow';
import type { inspectionActivities } from '../activities/inspection.js';
import { failure } from './failures.js';
import { isUnreadable } from './unreadable.js';

/** One thing that was looked at. `unknown`: it could not be seen, which is not wrong by itself. */
export interface Finding {
  /** Stable: programs look it up. */
  name: string;
  state: 'ok' | 'wrong' | 'unknown';
  /** What was seen. */
  message: string;
  cause?: string | undefined;
  /** The command that mends it. */
  next?: string | undefined;
  /** Which of several of that name: a unit, a file system, a path. Stable, too. */
  about?: string | undefined;
  /** What one look does not tell: it counts once it was so in so many checks in a row, or for so many hours. */
  counts?: { checks: number } | { hours: number } | undefined;
}

/** What a doctor saw, in the order in which it looked. */
export interface Report {
  findings: Finding[];
}

const look = proxyActivities<ReturnType<typeof inspectionActivities>>({
  startToCloseTimeout: '90 seconds',
  // Who asked waits; nothing is lost where it is asked again.
  retry: { maximumAttempts: 2 },
});

/**
 * Looks at a server, and changes nothing. No operation: it has no row, takes no place, and its outcome is kept by nobody.
 */
export async function inspectServer(server: string): Promise<Report> {
  return await look.examineServer(readable(server));
}

/** Looks at a site, from its server and from the outside, and changes nothing. */
export async function inspectSite(site: string): Promise<Report> {
  return await look.examineSite(readable(site));
}

function readable(id: string): string {
  if (isUnreadable(id)) throw failure('Forbidden', `What to look at is ${id.chomUnreadable}`);
  return id;
}
