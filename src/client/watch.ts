import { setTimeout as sleep } from 'node:timers/promises';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { whereabouts, type Whereabouts } from '../inventory/whereabouts.js';
import { failure } from '../workflows/failures.js';
import type { Question, StepProgress } from '../workflows/progress.js';
import { describeLine, WAIT_LABEL } from '../workflows/line.js';
import { messageOf } from '../workflows/thrown.js';
import type { Chom } from './open.js';
import { nobodyTakes } from './pollers.js';
import { probeProgress, type ProgressProbe } from './progress-probe.js';

/** An operation as it was last seen, with those that run inside it. */
export interface Seen {
  /** The row of the inventory, which alone says how it ended. */
  operation: Operation;
  steps: StepProgress[];
  warnings: string[];
  question: Question | null;
  /** Why its workflow does not say how far it is; null when it does, or has ended. */
  silence: string | null;
  children: Seen[];
}

export interface WatchOptions {
  /** Ends the watching, not the operation; `watch` rejects with its reason. */
  signal?: AbortSignal;
  /** Called whenever something was learnt, at least every second. */
  onSeen?: (seen: Seen) => void;
  /** Rejects with `NoWorker` when for so long, in milliseconds, nobody took the operation up. */
  workerWithin?: number;
}

const POLL_MS = 250;
const ANSWER_MS = 10_000;

interface Watching {
  probes: Map<string, ProgressProbe>;
  onClosed: () => void;
}

/**
 * Follows an operation to its end and resolves with it as it ended, well or not. Temporal and the workers may be away
 * meanwhile: only the inventory says how an operation ended.
 * @throws NotFound no such operation; NoWorker; InventoryUnavailable
 */
export async function watch(chom: Chom, id: string, options: WatchOptions = {}): Promise<Seen> {
  const { signal, onSeen = () => {}, workerWithin } = options;
  const probes = new Map<string, ProgressProbe>();
  const began = Date.now();
  let asksAgain = began + (workerWithin ?? 0);
  // Whoever waits for an end learns of it when it comes, and not with the next look.
  let early = new AbortController();
  const onClosed = () => early.abort();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const seen = await look(chom, await operations.byId(chom.inventory.db, id, chom), { probes, onClosed });
      onSeen(seen);
      if (seen.operation.outcome !== null) return seen;
      if (workerWithin !== undefined && seen.operation.state === 'asked' && Date.now() >= asksAgain) {
        asksAgain = Date.now() + 2000;
        if (await nobodyTakes(chom, id)) throw noWorker(chom, id, Date.now() - began);
      }
      const ends = signal ? AbortSignal.any([signal, early.signal]) : early.signal;
      await sleep(POLL_MS, undefined, { signal: ends }).catch(() => undefined);
      if (early.signal.aborted) early = new AbortController();
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await Promise.all([...probes.values()].map(async (probe) => await probe.stop()));
  }
}

/** The operation and its children, from their rows and from what their workflows last answered. */
async function look(chom: Chom, operation: Operation, watching: Watching): Promise<Seen> {
  const { probes, onClosed } = watching;
  const { id, outcome } = operation;
  const rows = operation.state === 'asked' ? [] : await operations.list(chom.inventory.db, { parent: id });
  const children: Seen[] = [];
  for (const row of rows.toReversed()) children.push(await look(chom, row, watching));
  if (outcome !== null) {
    void probes.get(id)?.stop();
    const steps = operation.steps as StepProgress[];
    return { operation, steps, warnings: operation.warnings, question: null, silence: null, children };
  }
  const probe = probes.get(id) ?? probeProgress(chom, id, onClosed);
  probes.set(id, probe);
  const { progress } = probe;
  // One that runs, a child too, is in no line: that is nothing to ask for with every look.
  const where = operation.state === 'running' ? null : await whereabouts(chom.inventory.db, id);
  return {
    operation,
    steps: withAmount(withLine(progress?.steps ?? [], where), probe.beat),
    warnings: progress?.warnings ?? [],
    question: progress?.question ?? null,
    silence: probe.closed === null ? probe.silence : `its workflow was ${probe.closed}: ${settled(id)}`,
    children,
  };
}

/** The row alone says how it ended; of one whose workflow died, whoever settles it writes that. */
function settled(id: string): string {
  return `a worker settles it within a minute, or: chom op settle ${id}`;
}

function withAmount(steps: StepProgress[], beat: ProgressProbe['beat']): StepProgress[] {
  if (beat === null) return steps;
  return steps.map((step) =>
    step.index === beat.step && step.state === 'running' ? { ...step, amount: beat.amount } : step,
  );
}

/** The line moves without the workflow's doing, so what it shows of it is old. */
function withLine(steps: StepProgress[], where: Whereabouts | null): StepProgress[] {
  if (where === null) return steps;
  const own = steps.find(({ label }) => label === WAIT_LABEL);
  const { startedAt, index } = own ?? { startedAt: Date.parse(where.since), index: 1 };
  const message = describeLine(where);
  const line: StepProgress = { index, label: WAIT_LABEL, state: 'waiting', attempt: 1, startedAt, message };
  return own ? steps.map((step) => (step === own ? line : step)) : [line, ...steps];
}

function noWorker(chom: Chom, id: string, waited: number) {
  const { taskQueue } = chom.config;
  return failure('NoWorker', `No worker takes operations from task queue ${taskQueue}`, {
    cause: `none has asked for work for ${Math.round(waited / 1000)} s; the operation is asked for and starts as soon as one does`,
    next: `chom worker (or chom dev), then: chom op watch ${id}`,
  });
}

/** Asks the workflow's question the other way: gives the operator's answer to it. @throws NotFound; TemporalUnavailable */
export async function answer(chom: Chom, id: string, question: Question, value: string): Promise<void> {
  await operations.byId(chom.inventory.db, id, chom);
  const temporal = await chom.temporal();
  try {
    const handle = temporal.workflow.getHandle(id);
    const tell = async () => await handle.signal<[string, string]>('answer', question.name, value);
    await temporal.withDeadline(Date.now() + ANSWER_MS, tell);
  } catch (error) {
    throw failure('TemporalUnavailable', `The answer did not reach operation ${id}`, {
      cause: messageOf(error),
      next: `chom op watch ${id} asks again, as long as it waits`,
    });
  }
}
