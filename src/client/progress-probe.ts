import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../inventory/operations.js';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import type { Beat } from '../activities/heartbeat.js';
import type { Progress, StepProgress } from '../workflows/progress.js';
import type { Chom } from './open.js';

type Temporal = Awaited<ReturnType<Chom['temporal']>>;
type Description = Awaited<ReturnType<ReturnType<Temporal['workflow']['getHandle']>['describe']>>;
type PendingActivity = NonNullable<Description['raw']['pendingActivities']>[number];

const LIMIT_MS = 3000;
const DESCRIBE_EVERY_MS = 5000;

/** What one workflow last said of itself. */
export interface ProgressProbe {
  /** Null until it answered. */
  readonly progress: Progress | null;
  /** Why there is no new answer; null when there is. */
  readonly silence: string | null;
  /** How far the step is that was last heard of; null where none counts. */
  readonly beat: Beat | null;
  /** How the workflow ended, once it has: `terminated`, `completed` … */
  readonly closed: string | null;
  /** Ends the asking; resolves once no request is on its way any more: only then may the connection be closed. */
  stop(): Promise<void>;
}

/**
 * Asks a workflow again and again how far it is, beside whoever reads the answers: a query waits for a worker, and that
 * must hold nobody up. `onClosed` is told once, as soon as Temporal says that it has ended; perhaps never.
 */
export function probeProgress(chom: Chom, id: string, onClosed: () => void): ProgressProbe {
  const stopped = new AbortController();
  const probe: { -readonly [Key in keyof ProgressProbe]: ProgressProbe[Key] } = {
    progress: null,
    silence: null,
    beat: null,
    closed: null,
    async stop() {
      stopped.abort();
      await ended;
    },
  };
  const asking = async () => {
    let changed = Date.now();
    let described = Date.now();
    while (!stopped.signal.aborted) {
      const before = JSON.stringify(probe.progress);
      Object.assign(probe, await askProgress(chom, id, stopped.signal));
      if (JSON.stringify(probe.progress) !== before) changed = Date.now();
      if (Date.now() - described >= DESCRIBE_EVERY_MS) {
        Object.assign(probe, await describe(chom, id, stopped.signal));
        described = Date.now();
      }
      // Each query costs the worker a workflow task; while nothing happens it is asked less often.
      const pause = Date.now() - changed < 10_000 ? 250 : 1000;
      await sleep(pause, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  };
  const ended = Promise.all([asking(), waitForEnd(chom, id, stopped.signal, onClosed)]);
  return probe;
}

async function waitForEnd(chom: Chom, id: string, signal: AbortSignal, onClosed: () => void): Promise<void> {
  // However it ended, or whatever the request failed with: whoever is told looks for himself.
  await ask(chom, async (temporal) => await temporal.workflow.getHandle(id).result(), signal).catch(() => undefined);
  if (!signal.aborted) onClosed();
}

/** Cancels the request with the signal: one whose connection is closed is tried again, and throws where nobody catches it. */
async function ask<Result>(
  chom: Chom,
  request: (temporal: Temporal) => Promise<Result>,
  signal: AbortSignal = new AbortController().signal,
): Promise<Result> {
  // Its own: the SDK never stops listening to a signal that it was given, and listens anew with each poll for an end.
  const cancelled = new AbortController();
  setMaxListeners(0, cancelled.signal);
  const { promise, reject } = rejection();
  const cancel = () => {
    cancelled.abort();
    reject(signal.reason);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    // Connecting may take seconds, and is nothing that whoever closes has to wait for.
    const temporal = await Promise.race([chom.temporal(), promise]);
    signal.throwIfAborted();
    return await temporal.withAbortSignal(cancelled.signal, async () => await request(temporal));
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function rejection(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject!: (reason: unknown) => void;
  const promise = new Promise<never>((_, no) => (reject = no));
  promise.catch(() => undefined);
  return { promise, reject };
}

/** How far an operation is: by its row once it has ended, which gets its steps then; before, by its workflow. */
export async function howFar(
  chom: Chom,
  operation: Operation,
): Promise<{ steps: StepProgress[]; warnings: string[]; silence: string | null }> {
  const live = operation.outcome === null ? await askProgress(chom, operation.id) : null;
  return {
    steps: live?.progress?.steps ?? (operation.steps as StepProgress[]),
    warnings: live?.progress?.warnings ?? operation.warnings,
    silence: live?.silence ?? null,
  };
}

/** What the workflow says now, or why it says nothing. */
async function askProgress(chom: Chom, id: string, signal?: AbortSignal): Promise<Partial<ProgressProbe>> {
  try {
    const query = async (temporal: Temporal): Promise<unknown> =>
      await temporal.withDeadline(
        Date.now() + LIMIT_MS,
        async () => await temporal.workflow.getHandle(id).query('progress'),
      );
    const answered = await ask(chom, query, signal);
    if (isProgress(answered)) return { progress: answered, silence: null };
    return { silence: 'its answer cannot be read: is this the keyring of its worker?' };
  } catch (error) {
    return { silence: explain(error) };
  }
}

/** Nothing new also when Temporal does not know the workflow or is away: neither says that it has ended. */
async function describe(chom: Chom, id: string, signal: AbortSignal): Promise<Partial<ProgressProbe>> {
  try {
    const about = async (temporal: Temporal) =>
      await temporal.withDeadline(Date.now() + LIMIT_MS, async () => {
        const { status, raw } = await temporal.workflow.getHandle(id).describe();
        const [beat] = await Promise.all((raw.pendingActivities ?? []).map(async (one) => await beatOf(temporal, one)));
        return { closed: status.name === 'RUNNING' ? null : status.name.toLowerCase(), beat: beat ?? null };
      });
    return await ask(chom, about, signal);
  } catch {
    return {};
  }
}

async function beatOf(temporal: Temporal, { heartbeatDetails }: PendingActivity): Promise<Beat | null> {
  const { loadedDataConverter } = temporal.options;
  const [beat] = await decodeArrayFromPayloads(loadedDataConverter, heartbeatDetails?.payloads);
  const isBeat = typeof beat === 'object' && beat !== null && typeof Reflect.get(beat, 'step') === 'number';
  return isBeat ? (beat as Beat) : null;
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
