import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import * as undos from '../inventory/undos.js';
import type { StepProgress } from '../workflows/progress.js';
import type { Chom } from './open.js';
import { howFar } from './progress-probe.js';

/** Something that happened in an operation, or in one inside it. */
export interface LogEntry {
  /** ISO-8601 UTC. */
  at: string;
  operation: string;
  what: 'asked' | 'begun' | 'step' | 'failure' | 'undo' | 'event' | 'ended';
  /** The step's name, the event's type, or the outcome. */
  name: string;
  /** Of a step or an undo: as the step tree has it. */
  state?: string | undefined;
  attempt?: number | undefined;
  tookMs?: number | undefined;
  /** Type of the failure. */
  type?: string | undefined;
  message?: string | undefined;
  /** The last lines of what a program on the server said. */
  output?: string | undefined;
}

/** What an operation did, with its warnings, and why a part that runs says nothing. */
export interface OperationLog {
  entries: LogEntry[];
  warnings: string[];
  silence: string | null;
}

/** All that CHOM holds of an operation and of those inside it, in order of time; of one that runs, from its workflow. */
export async function readLog(chom: Chom, operation: Operation): Promise<OperationLog> {
  const { inventory } = chom;
  const { id } = operation;
  const { steps, warnings, silence } = await howFar(chom, operation);
  const children = await operations.list(inventory.db, { parent: id });
  const inside = await Promise.all(children.map(async (child) => await readLog(chom, child)));
  const emitted = await events.list(inventory.db, { operation: id });
  const entries: LogEntry[] = [
    ...begins(operation),
    ...steps.flatMap((step) => ofStep(id, step)),
    ...(await takenBack(chom, id, steps)),
    ...emitted.map(({ at, type }) => ofEvent(operation, at, type)),
    ...ends(operation, steps),
    ...inside.flatMap((log) => log.entries),
  ];
  return {
    // Stable: what happened in one millisecond stays in this order.
    entries: entries.sort((a, b) => a.at.localeCompare(b.at)),
    warnings,
    silence: silence ?? inside.find((log) => log.silence !== null)?.silence ?? null,
  };
}

function begins({ id, kind, askedAt, startedAt }: Operation): LogEntry[] {
  const entries: LogEntry[] = [{ at: askedAt, operation: id, what: 'asked', name: kind }];
  if (startedAt !== null) entries.push({ at: startedAt, operation: id, what: 'begun', name: kind });
  return entries;
}

/** Outcome and last events are written at once, so that their times say nothing of their order: the outcome is last. */
function ofEvent({ id, endedAt }: Operation, at: string, type: string): LogEntry {
  return { at: endedAt !== null && at > endedAt ? endedAt : at, operation: id, what: 'event', name: type };
}

function ends(operation: Operation, steps: StepProgress[]): LogEntry[] {
  const { id, endedAt, outcome, failureType: type, reason, details } = operation;
  if (endedAt === null || outcome === null) return [];
  // Told where it happened, if that is known.
  const output = steps.some(({ failures }) => failures) ? undefined : details?.output;
  const why = { type: type ?? undefined, message: reason ?? undefined, output };
  return [{ at: endedAt, operation: id, what: 'ended', name: outcome, ...(outcome !== 'succeeded' && why) }];
}

function ofStep(operation: string, step: StepProgress): LogEntry[] {
  const { label: name, state, attempt, startedAt, endedAt, failures = [] } = step;
  const tookMs = endedAt === undefined ? undefined : endedAt - startedAt;
  return [
    { at: iso(startedAt), operation, what: 'step', name, state, attempt, tookMs, message: step.message },
    ...failures.map(({ at, ...failed }) => ({ at: iso(at), operation, what: 'failure' as const, name, ...failed })),
  ];
}

/** From the journal: what was taken back, and what could not be. */
async function takenBack({ inventory, keyring }: Chom, operation: string, steps: StepProgress[]): Promise<LogEntry[]> {
  const journal = await undos.list(inventory.db, keyring, operation);
  return journal
    .filter(({ state }) => state !== 'journalled')
    .map(({ step, activity, state, reason, at }) => {
      const name = steps.find(({ index }) => index === step)?.label ?? activity;
      return { at, operation, what: 'undo', name, state, message: reason ?? undefined };
    });
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
