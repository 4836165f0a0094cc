import { WorkflowNotFoundError } from '@temporalio/common';
import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import { failure } from '../workflows/failures.js';
import { type Coordinator, PRIORITY_KEYS, SEARCH_ATTRIBUTES, workflowType } from '../workflows/names.js';
import { messageOf } from '../workflows/thrown.js';
import type { Chom } from './open.js';
import type { Submitter } from './submit.js';
import type { Failed } from './sweep.js';

const LIMIT_MS = 10_000;

/** The kind under which Temporal's UI shows it. */
function coordinatorKind({ kind }: Pick<Batch, 'kind'>): Coordinator {
  return `run-${kind}`;
}

/** Has the coordinator of a batch look at its rows; starts it where it is not there. Doing so twice does no harm. */
export async function callCoordinator({ temporal }: Pick<Submitter, 'temporal'>, batch: Batch): Promise<void> {
  const { id, name, tenant, priority, taskQueue } = batch;
  const kind = coordinatorKind(batch);
  const start = async () =>
    await temporal.workflow.signalWithStart(workflowType(kind), {
      workflowId: id,
      taskQueue,
      args: [id],
      signal: 'granted',
      // Ended and taken up again, it is the same batch.
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: `${kind} ${name}`,
      priority: { priorityKey: PRIORITY_KEYS[priority], fairnessKey: tenant },
      typedSearchAttributes: [
        { key: SEARCH_ATTRIBUTES.tenant, value: tenant },
        { key: SEARCH_ATTRIBUTES.operation, value: kind },
      ],
    });
  await temporal.withDeadline(Date.now() + LIMIT_MS, start);
}

/** The same for whoever asked. @throws TemporalUnavailable what was written stays, and a worker goes on with it */
export async function callFor(chom: Chom, batch: Batch): Promise<void> {
  try {
    await callCoordinator({ temporal: await chom.temporal() }, batch);
  } catch (error) {
    throw failure('TemporalUnavailable', `Batch ${batch.name} is written down, but Temporal was not told`, {
      cause: messageOf(error),
      next: `chom batch watch ${batch.id}: a worker goes on with it within minutes of Temporal's return`,
    });
  }
}

/**
 * Starts coordinators that are not there: whoever wrote the batch down died, or Temporal lost it. Where somebody terminated one
 * its batch is paused, and its operations are left to their ends. Returns the ids of those that were taken up.
 */
export async function reviveBatches(chom: Submitter, failures: Failed[] = []): Promise<string[]> {
  const { inventory, temporal } = chom;
  const { address, namespace } = temporal;
  const taken: string[] = [];
  for (const batch of await batches.list(inventory.db, { atWork: true, limit: 10_000 })) {
    const here = batch.cluster === address && batch.namespace === namespace;
    if (!here || batch.pausedBy === 'terminated') continue;
    try {
      const status = await statusOf(chom, batch.id);
      if (status === 'RUNNING') continue;
      if (status === 'TERMINATED') await pauseTerminated(chom, batch.id);
      else await callCoordinator(chom, batch);
      taken.push(batch.id);
    } catch (error) {
      failures.push({ what: `Take up batch ${batch.id}`, error });
    }
  }
  return taken;
}

/** Null: Temporal knows no such workflow. */
async function statusOf({ temporal }: Submitter, id: string): Promise<string | null> {
  try {
    const describe = async () => await temporal.workflow.getHandle(id).describe();
    return (await temporal.withDeadline(Date.now() + LIMIT_MS, describe)).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

async function pauseTerminated({ inventory }: Submitter, id: string): Promise<void> {
  await inventory.transaction(async (trx) => {
    const { state } = await batches.lock(trx, id);
    if (state === 'ended') return;
    const reason = 'Its workflow was terminated; operations that had begun go on to their ends';
    await batches.change(trx, id, { state: 'paused', pausedBy: 'terminated', reason });
  });
}
