import type { Connection } from '@temporalio/client';
import type { Known } from './doctor-inventory.js';
import type { Finding } from './findings.js';
import { duration } from './text.js';
import { parseWorkerIdentity } from './worker-identity.js';

/** `TASK_QUEUE_TYPE_WORKFLOW` of temporal.api.enums.v1. */
const WORKFLOW_QUEUE = 1;
/** A worker asks for work at least once a minute; Temporal lists one that is gone for five. */
const SILENT_MS = 75_000;

interface Where {
  namespace: string;
  taskQueue: string;
  known: Known;
  /** How far Temporal's clock is ahead of ours. */
  offset: number;
}

/** Whether somebody takes operations, and whether those who do have our inventory and our keys. */
export async function examineWorkers(connection: Connection, where: Where): Promise<Finding> {
  const { namespace, taskQueue, known, offset } = where;
  const name = 'worker';
  const { pollers } = await connection.workflowService.describeTaskQueue({
    ...{ namespace, taskQueue: { name: taskQueue }, taskQueueType: WORKFLOW_QUEUE },
  });
  const asked = (pollers ?? []).map(({ identity, lastAccessTime }) => ({
    identity: identity ?? '',
    ago: Date.now() + offset - Number(lastAccessTime?.seconds ?? 0) * 1000,
  }));
  const present = asked.filter(({ ago }) => ago < SILENT_MS);
  if (present.length === 0) {
    return {
      name,
      state: 'wrong',
      message: `No worker takes operations from task queue ${taskQueue}`,
      cause: asked.length === 0 ? 'none has asked for work lately' : `the last one is gone: ${asked[0]?.identity}`,
      next: 'chom worker (or chom dev)',
    };
  }
  for (const { identity } of present) {
    const stranger = whyStrange(identity, known);
    if (stranger) return { name, state: 'wrong', ...stranger };
  }
  const last = duration(Math.min(...present.map(({ ago }) => ago)));
  return { name, state: 'ok', message: `${present.length} on task queue ${taskQueue}, the last asked ${last} ago` };
}

function whyStrange(
  identity: string,
  { controller, keys, holders }: Known,
): Pick<Finding, 'message' | 'cause' | 'next'> | null {
  const worker = parseWorkerIdentity(identity);
  if (!worker) {
    return {
      message: `${identity} takes operations too`,
      cause: 'it is no worker of this version of CHOM',
      next: 'end it, or give one of the two another CHOM_TASK_QUEUE',
    };
  }
  if (controller !== null && worker.controller !== controller) {
    return {
      message: `The worker ${worker.process} has another inventory`,
      cause: `it is of installation ${worker.controller}, and this is ${controller}`,
      next: 'end it, or give one of the two another CHOM_TASK_QUEUE',
    };
  }
  // What it calls itself stays as it began; which keys it holds by now it tells the inventory.
  const held = holders.find((holder) => holder.identity === identity)?.keys ?? worker.keys;
  const lacking = (keys ?? []).filter((id) => !held.includes(id));
  if (lacking.length === 0) return null;
  return {
    message: `The worker ${worker.process} lacks keys that are held here: ${lacking.join(', ')}`,
    cause: 'it has another keyring, or was started before they were made',
    next: 'give it this keyring.json, and start it again',
  };
}
