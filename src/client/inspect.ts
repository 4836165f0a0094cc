import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Report } from '../workflows/inspection.js';
import { parseDomain } from './domain.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';
import { nobodyTakes } from './pollers.js';
import { randomId } from './submit.js';

const WORKER_WITHIN_MS = 10_000;
/** A server that does not answer is given up after 15 s; two tries, and a queue. */
const LIMIT_MS = 240_000;
const START_MS = 10_000;

/** Has a worker look at a server. @throws NotFound; NoWorker; TemporalUnavailable */
export async function inspectServer(chom: Chom, name: string): Promise<Report> {
  const server = await servers.byName(chom.inventory.db, chom.tenant, parseServerName(name));
  return await inspected(chom, 'inspectServer', server.id, name);
}

/** Has a worker look at a site. @throws NotFound; Conflict it is not live; NoWorker; TemporalUnavailable */
export async function inspectSite(chom: Chom, domain: string): Promise<Report> {
  const site = await sites.byDomain(chom.inventory.db, parseDomain(domain), { tenant: chom.tenant });
  return await inspected(chom, 'inspectSite', site.id, site.domain);
}

async function inspected(chom: Chom, type: 'inspectServer' | 'inspectSite', id: string, name: string): Promise<Report> {
  return await askWorker<Report>(chom, { type, args: [id], summary: `Look at ${name}` });
}

/** A question that a worker answers, and that is no operation. */
export interface WorkerQuestion {
  /** Type of the workflow. */
  type: string;
  args: unknown[];
  /** One line for people. */
  summary: string;
  limitMs?: number;
}

/** Has a worker answer. @throws what the activity throws; NoWorker; TemporalUnavailable */
export async function askWorker<Answer>(
  chom: Chom,
  { type, args, summary, limitMs = LIMIT_MS }: WorkerQuestion,
): Promise<Answer> {
  const temporal = await chom.temporal();
  const kind = type.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const workflowId = `${kind}-${randomId(12)}`;
  const start = async () =>
    await temporal.workflow.start(type, {
      workflowId,
      taskQueue: chom.config.taskQueue,
      args,
      staticSummary: summary,
      workflowExecutionTimeout: limitMs,
    });
  const handle = await temporal.withDeadline(Date.now() + START_MS, start).catch((error: unknown) => {
    throw unavailable(summary, error);
  });
  const left = new AbortController();
  try {
    const deadline = Date.now() + limitMs + START_MS;
    const result = temporal.withDeadline(deadline, async () => (await handle.result()) as Answer);
    return await Promise.race([result, nobody(chom, workflowId, left.signal)]);
  } catch (error) {
    // Loaded by then: most commands ask no worker, and do without all of Temporal's client.
    const { WorkflowFailedError } = await import('@temporalio/client');
    throw error instanceof WorkflowFailedError && error.cause ? rootOf(error.cause) : error;
  } finally {
    left.abort();
  }
}

function unavailable(summary: string, error: unknown) {
  return failure('TemporalUnavailable', `Temporal did not take it up: ${summary}`, {
    cause: messageOf(error),
    next: 'chom doctor',
  });
}

/** Rejects when no worker has taken it up in time; else never ends. */
async function nobody(chom: Chom, workflowId: string, left: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => {
    const timer = setTimeout(() => {
      void nobodyTakes(chom, workflowId).then((untaken) => {
        if (!untaken) return;
        reject(
          failure('NoWorker', 'No worker looks at it', {
            cause: 'servers are reached by workers alone',
            next: 'chom dev, or chom worker',
          }),
        );
      });
    }, WORKER_WITHIN_MS);
    left.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

/** Temporal wraps what an activity threw. */
function rootOf(error: Error): Error {
  return error.cause instanceof Error ? rootOf(error.cause) : error;
}
