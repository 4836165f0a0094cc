import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { PRIORITY_KEYS } from '../workflows/names.js';

/** What a queue of our own tells about the server. */
export interface QueueProbe {
  /** How far its clock is ahead of ours, in milliseconds; less than what one request takes counts as nothing. */
  serverAheadMs: number;
  /** Whether a task of high priority is kept apart from others. */
  priorities: boolean;
}

/** `TASK_QUEUE_TYPE_WORKFLOW` of temporal.api.enums.v1. */
const WORKFLOW_QUEUE = 1;

/**
 * Starts a workflow of high priority on a queue that nobody serves, looks how the server keeps its task and what time it
 * gave it, and deletes it. Both are said by no setting that a client can read. Rejects where the server does not let us.
 */
export async function probeQueue({ workflowService }: Connection, namespace: string): Promise<QueueProbe> {
  const workflowId = `chom-doctor-${randomUUID()}`;
  const taskQueue = { name: workflowId };
  const sent = Date.now();
  await workflowService.startWorkflowExecution({
    ...{ namespace, workflowId, taskQueue, requestId: workflowId },
    workflowType: { name: 'chom-doctor' },
    // Should we die before it is deleted.
    workflowExecutionTimeout: msToTs('10 seconds'),
    priority: { priorityKey: PRIORITY_KEYS.high },
  });
  const answered = Date.now();
  const execution = { workflowId };
  try {
    const { workflowExecutionInfo } = await workflowService.describeWorkflowExecution({ namespace, execution });
    const { seconds, nanos } = workflowExecutionInfo?.startTime ?? {};
    const started = Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6;
    return { serverAheadMs: outside(started, sent, answered), priorities: await keepsApart() };
  } finally {
    await workflowService.deleteWorkflowExecution({ namespace, workflowExecution: execution });
  }

  /** Without priorities all tasks lie under the default one. The task is on its queue a moment after the start. */
  async function keepsApart(): Promise<boolean> {
    for (;;) {
      const { stats, statsByPriorityKey } = await workflowService.describeTaskQueue({
        ...{ namespace, taskQueue, taskQueueType: WORKFLOW_QUEUE, reportStats: true },
      });
      if (Number(statsByPriorityKey?.[PRIORITY_KEYS.high]?.approximateBacklogCount ?? 0) > 0) return true;
      if (Number(stats?.approximateBacklogCount ?? 0) > 0) return false;
      await sleep(50);
    }
  }
}

/** How far a time lies outside of a span; 0 inside of it. */
function outside(time: number, from: number, to: number): number {
  if (time > to) return time - to;
  return time < from ? time - from : 0;
}
