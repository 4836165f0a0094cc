import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../workflows/progress.js';
import type { Chom } from './open.js';

const LIMIT_MS = 3000;
const DESCRIBE_EVERY_MS = 5000;

/** What one workflow last said of itself. */
export interface ProgressProbe {
  /** Null until it answered. */
  readonly progress: Progress | null;
  /** Why there is no new answer; null when there is. */
  readonly silence: string | null;
  /** How the workflow ended, once it has: `terminated`, `completed` … */
  readonly closed: string | null;
  stop(): void;
}

/**
 * Asks a workflow again and again how far it is, beside whoever reads the answers: a query waits for a worker, and that
 * must hold nobody up.
 */
export function probeProgress(chom: Chom, id: string): ProgressProbe {
  const stopped = new AbortController();
  const probe: { -readonly [Key in keyof ProgressProbe]: ProgressProbe[Key] } = {
    progress: null,
    silence: null,
    closed: null,
    stop: () => stopped.abort(),
  };
  void (async () => {
    let changed = Date.now();
    let described = Date.now();
    while (!stopped.signal.aborted) {
      const before = JSON.stringify(probe.progress);
      Object.assign(probe, await askProgress(chom, id));
      if (JSON.stringify(probe.progress) !== before) changed = Date.now();
      if (Date.now() - described >= DESCRIBE_EVERY_MS) {
        probe.closed = await howClosed(chom, id);
        described = Date.now();
      }
      // Each query costs the worker a workflow task; while nothing happens it is asked less often.
      const pause = Date.now() - changed < 10_000 ? 250 : 1000;
      await sleep(pause, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  return probe;
}

/** What the workflow says now, or why it says nothing. */
export async function askProgress(chom: Chom, id: string): Promise<Partial<ProgressProbe>> {
  try {
    const temporal = await chom.temporal();
    const answered: unknown = await temporal.withDeadline(
      Date.now() + LIMIT_MS,
      async () => await temporal.workflow.getHandle(id).query('progress'),
    );
    if (isProgress(answered)) return { progress: answered, silence: null };
    return { silence: 'its answer cannot be read: is this the keyring of its worker?' };
  } catch (error) {
    return { silence: explain(error) };
  }
}

/** Null also when Temporal does not know the workflow or is away: neither says that it has ended. */
async function howClosed(chom: Chom, id: string): Promise<string | null> {
  try {
    const temporal = await chom.temporal();
    const { status } = await temporal.withDeadline(
      Date.now() + LIMIT_MS,
      async () => await temporal.workflow.getHandle(id).describe(),
    );
    return status.name === 'RUNNING' ? null : status.name.toLowerCase();
  } catch {
    return null;
  }
}

function isProgress(answered: unknown): answered is Progress {
  return typeof answered === 'object' && answered !== null && Array.isArray(Reflect.get(answered, 'steps'));
}

function explain(error: unknown): string {
  if (error instanceof Error && error.name === 'WorkflowNotFoundError') return 'its workflow has not been started';
  const cause: unknown = Reflect.get(Object(error), 'cause') ?? error;
  const code: unknown = Reflect.get(Object(cause), 'code');
  // gRPC status codes: 4 DEADLINE_EXCEEDED, 9 FAILED_PRECONDITION (no worker was seen for minutes).
  return code === 4 || code === 9 ? 'no worker answers' : 'Temporal does not answer';
}
