import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import type { Lost } from '../workflows/settle-operation.js';
import type { Chom } from './open.js';
import type { Submitter } from './submit.js';

const LIMIT_MS = 10_000;

/** How the run of an operation was closed without an outcome; null where it runs, or has an outcome meanwhile. */
export async function isDead(chom: Submitter, { id, run }: Operation): Promise<string | null> {
  const { temporal, inventory } = chom;
  if (run === null) return null;
  let how: string;
  try {
    const describe = async () => await temporal.workflow.getHandle(id, run).describe();
    const { status } = await temporal.withDeadline(Date.now() + LIMIT_MS, describe);
    if (status.name === 'RUNNING') return null;
    how = status.name.toLowerCase();
  } catch (error) {
    // A settling that died leaves its own run in the row, which is none of the operation's.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    how = 'lost';
  }
  // The outcome is written before the workflow closes, so by now it can be read if there is one.
  const now = await operations.byId(inventory.db, id);
  return now.outcome === null && now.run === run ? how : null;
}

/**
 * Has an operation settled whose run died: stopped on its server, taken back or finished, recorded, its place freed.
 * Asking twice is asking once. `abandon`: what cannot be reached is recorded and left.
 */
export async function settle(chom: Submitter, dead: Operation, how: string, abandon = false): Promise<void> {
  const { temporal, config } = chom;
  const { id: operation, kind, run, epoch, tenant } = dead;
  const lost: Lost = { operation, kind, run: run ?? '', epoch, how };
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
  if (run === null) throw refused(id, 'has not begun: there is nothing to settle', `chom op cancel ${id}`);
  const temporal = await chom.temporal();
  if (row.cluster !== temporal.address || row.namespace !== temporal.namespace) {
    throw refused(id, `was started on another Temporal: ${row.cluster}, namespace ${row.namespace}`, 'chom op show');
  }
  const submitter = { ...chom, temporal };
  const how = await isDead(submitter, row);
  if (how === null) throw refused(id, 'is at work: its workflow runs', `chom op cancel ${id}`);
  await settle(submitter, row, how, abandon);
}

function refused(id: string, why: string, next: string) {
  return failure('Conflict', `Operation ${id} ${why}`, { next });
}
