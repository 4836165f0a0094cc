import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { cancelBatch } from '../../src/client/batch-control.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import { askBatch } from './batch-world.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';

const ITEMS = 10_000;
const AT_ONCE = 50;

let chom: WorkflowEnvironment;
let worker: ChildProcess | null = null;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => {
  await killWorker();
  await chom?.close();
});

async function startWorker(): Promise<void> {
  const child = fork(
    fileURLToPath(new URL('batch-worker.ts', import.meta.url)),
    [chom.address, inject('scriptedBundle')],
    {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...chom.settings },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  );
  worker = child;
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (status) => reject(new Error(`the worker ended with ${status}`)));
  });
}

async function killWorker(): Promise<void> {
  const child = worker;
  worker = null;
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Every run of the coordinator, the latest first; each continued the one before it as new. */
async function runsOf(id: string): Promise<string[]> {
  const runs: string[] = [];
  let runId = (await chom.temporal.workflow.getHandle(id).describe()).runId;
  while (runId !== '') {
    runs.push(runId);
    const { events } = await chom.temporal.workflow.getHandle(id, runId).fetchHistory();
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
  }
  return runs;
}

async function replay(id: string, runId: string): Promise<void> {
  const made = await chom.temporal.workflow.getHandle(id, runId).fetchHistory();
  const history = historyFromJSON(JSON.parse(historyToJSON(made)));
  const options = {
    workflowBundle: { codePath: inject('scriptedBundle') },
    dataConverter: sealedDataConverter(chom.keyring),
  };
  await Worker.runReplayHistory({ ...options, replayName: runId }, history, id);
}

test('a batch of ten thousand is continued as new, and loses and repeats none when its worker dies and when it is cancelled', async () => {
  const { inventory, temporal } = chom;
  const items = Array.from({ length: ITEMS }, (_, n) => `s${n % 100}-${n}`);
  const id = await askBatch(chom, { rules: { concurrency: AT_ONCE, perServer: 5 }, items });
  const counts = async () => (await batchItems.counts(inventory.db, id)).item;
  await startWorker();
  await until('some have ended', async () => (await counts()).succeeded >= ITEMS * 0.3, 200_000);
  await killWorker();
  const before = await counts();
  expect(before.running).toBeLessThanOrEqual(AT_ONCE);
  // Whoever meant to ask for these died: the next worker does.
  expect(before.succeeded + before.running + before.pending).toBe(ITEMS);
  await startWorker();
  await until('most have ended', async () => (await counts()).succeeded >= ITEMS * 0.9, 200_000);
  const client = { ...chom, tenant: 'default', temporal: async () => temporal, close: async () => {} };
  await cancelBatch(client, id);
  await temporal.workflow.getHandle(id).result();

  expect(await batches.byId(inventory.db, id)).toMatchObject({ state: 'ended', outcome: 'cancelled' });
  const { succeeded, cancelled, ...others } = await counts();
  expect(others).toEqual({ pending: 0, running: 0, failed: 0, skipped: 0 });
  expect(succeeded + cancelled).toBe(ITEMS);
  // Each that succeeded has one operation, and nothing else was asked for.
  const { n } = await inventory.db
    .selectFrom('operations')
    .select((row) => row.fn.countAll().as('n'))
    .executeTakeFirstOrThrow();
  expect(Number(n)).toBe(succeeded);
  const runs = await runsOf(id);
  expect(runs.length).toBeGreaterThan(1);
  for (const runId of runs) await replay(id, runId);
});
