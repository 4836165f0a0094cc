import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/common';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import type { Lost } from '../workflows/settle-operation.js';
import type { TemporalAddress } from './connection.js';
import type { Chom } from './open.js';
import type { Submitter } from './submit.js';

const LIMIT_MS = 10_000;

/** A run that was closed without an outcome, and how: `terminated`, `lost` … */
export interface Death {
  run: string;
  how: string;
}

/**
 * How the run of an operation was closed without an outcome; null where it runs, has an outcome meanwhile, or was never
 * started. Of one that no run has begun, it is the latest run that was closed before it could write that it had.
 */
export async function deathOf(chom: Submitter, { id, run }: Operation): Promise<Death | null> {
  const { temporal, inventory } = chom;
  let death: Death;
  try {
    const describe = async () => await temporal.workflow.getHandle(id, run ?? undefined).describe();
    const { status, runId } = await temporal.withDeadline(Date.now() + LIMIT_MS, describe);
    if (status.name === 'RUNNING') return null;
    death = { run: runId, how: status.name.toLowerCase() };
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    if (run === null) return null;
    // A settling that died leaves its own run in the row, which is none of the operation's.
    death = { run, how: 'lost' };
  }
  // The outcome is written before the workflow closes, so by now it can be read if there is one.
  const now = await operations.byId(inventory.db, id);
  return now.outcome === null && now.run === run ? death : null;
}

/**
 * Has an operation settled whose run died: stopped on its server, taken back or finished, recorded, its place freed.
 * Asking twice is asking once. `abandon`: what cannot be reached is recorded and left.
 */
export async function settle(chom: Submitter, dead: Operation, { run, how }: Death, abandon = false): Promise<void> {
  const { temporal, config, inventory } = chom;
  const { id: operation, kind, epoch, tenant } = dead;
  // Somebody else was faster where this changes nothing, and then the taking over is refused.
  if (dead.run === null) {
    await inventory.transaction(async (trx) => await operations.noteClosedRun(trx, operation, run));
  }
  const lost: Lost = { operation, kind, run, epoch, how };
  const options = {
    workflowId: settlingId(operation),
    taskQueue: config.taskQueue,
    args: [lost],
    // One that succeeded has recorded the outcome; one that failed is taken up again.
    workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: `Settle ${operation}`,
    priority: { priorityKey: 1, fairnessKey: tenant },
  } as const;
  const start = async () => {
    if (abandon) await temporal.workflow.signalWithStart('settleOperation', { ...options, signal: 'abandon' });
    else await temporal.workflow.start('settleOperation', options);
  };
  try {
    await temporal.withDeadline(Date.now() + LIMIT_MS, start);
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** The workflow that settles an operation. */
export function settlingId(operation: string): string {
  return `settle/${operation}`;
}

/**
 * Has an operation settled on request. @throws NotFound; Conflict it has an outcome, has not begun, is a step of another
 *   one, or is at work
 */
export async function settleOperation(chom: Chom, id: string, { abandon = false } = {}): Promise<void> {
  const row = await operations.byId(chom.inventory.db, id, chom);
  const { outcome, parent, root, run } = row;
  if (outcome !== null) throw refused(id, `has ended already: ${outcome}`, `chom op show ${id}`);
  if (parent !== null) throw refused(id, `is a step of ${root} and settled with it`, `chom op settle ${root}`);
  const temporal = await chom.temporal();
  refuseElsewhere(row, temporal);
  const submitter = { ...chom, temporal };
  const death = await deathOf(submitter, row);
  if (death) return await settle(submitter, row, death, abandon);
  const why = run === null ? 'has not begun: there is nothing to settle' : 'is at work: its workflow runs';
  throw refused(id, why, `chom op cancel ${id}`);
}

/** What a Temporal says of an operation counts only where it was started on it: another one may well know it. */
export function isOn({ address, namespace }: TemporalAddress, operation: Operation): boolean {
  return operation.cluster === address && operation.namespace === namespace;
}

/** @throws Conflict it was started on another Temporal */
export function refuseElsewhere(operation: Operation, temporal: TemporalAddress): void {
  if (isOn(temporal, operation)) return;
  const { id, cluster, namespace } = operation;
  throw refused(id, `was started on another Temporal: ${cluster}, namespace ${namespace}`, `chom op show ${id}`);
}

function refused(id: string, why: string, next: string) {
  return failure('Conflict', `Operation ${id} ${why}`, { next });
}
