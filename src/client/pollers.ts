import type { Client } from '@temporalio/client';
import type { TemporalAddress } from './connection.js';
import type { Chom } from './open.js';

/** `TASK_QUEUE_TYPE_WORKFLOW` and `PENDING_WORKFLOW_TASK_STATE_SCHEDULED` of temporal.api.enums.v1. */
const WORKFLOW_QUEUE = 1;
const SCHEDULED = 1;

/**
 * Whether the operation's first task lies on the queue and no worker has asked for work since it was put there. A
 * worker that is there takes it at once; one that is gone is listed by Temporal for another five minutes. While
 * Temporal does not answer nobody can say so, and it is false.
 */
export async function nobodyTakes(chom: Chom, id: string): Promise<boolean> {
  try {
    const temporal = await chom.temporal();
    const { taskQueue } = chom.config;
    return await temporal.withDeadline(Date.now() + 5000, async () => await liesUntaken(temporal, taskQueue, id));
  } catch {
    return false;
  }
}

/** A worker asks for work at least once a minute; Temporal lists one that is gone for five. */
const SILENT_MS = 75_000;

/** Those who ask for work, or have within the last minute, and how long ago, in milliseconds by our clock. @throws gRPC's errors */
export async function present(
  { workflowService, namespace }: Pick<Client, 'workflowService'> & Pick<TemporalAddress, 'namespace'>,
  taskQueue: string,
): Promise<{ identity: string; ago: number }[]> {
  const { pollers } = await workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: WORKFLOW_QUEUE,
  });
  return (pollers ?? [])
    .map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      ago: Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000,
    }))
    .filter(({ ago }) => ago < SILENT_MS);
}

async function liesUntaken(temporal: Client & TemporalAddress, taskQueue: string, id: string): Promise<boolean> {
  const { namespace, workflowService } = temporal;
  const execution = { workflowId: id };
  const { pendingWorkflowTask } = await workflowService.describeWorkflowExecution({ namespace, execution });
  if (!pendingWorkflowTask || Number(pendingWorkflowTask.state) !== SCHEDULED) return false;
  const { pollers } = await workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: WORKFLOW_QUEUE,
  });
  const scheduled = Number(pendingWorkflowTask.scheduledTime?.seconds ?? 0);
  return !(pollers ?? []).some(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) > scheduled);
}
