import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { randomId, submit } from '../src/client/submit.js';
import { bundled } from '../test/workflows/bundled.js';
import type { Script } from '../test/workflows/scripted.js';
import { BARE_QUEUE } from './bare-queue.js';
import { heading, tell } from './report.js';
import { takeTurns, type Contender } from './rounds.js';
import type { Setting } from './setting.js';

const IN_FLIGHT = 100;
const OPERATIONS_QUEUE = 'bench-operations';

/**
 * What an operation costs beside its steps: the product's lifecycle (row, place, fence, sealed payloads, outcome) around
 * one step that does nothing, against a workflow of one activity that does nothing, on the same Temporal.
 */
export async function compareEngines(setting: Setting, rounds: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'chom-bench-engine-'));
  const { address } = setting.rig.temporal;
  const connection = await Connection.connect({ address });
  let worker: ChildProcess | undefined;
  try {
    const bundles = [
      await bundle(directory, '../test/workflows/scripted.ts'),
      await bundle(directory, './bare-workflow.ts'),
    ];
    worker = await startWorker(setting, [address, ...bundles]);
    const client = new Client({ connection });
    const one = async () => await operation(setting);
    const bare = async () => await client.workflow.execute('bare', { workflowId: randomId(12), taskQueue: BARE_QUEUE });
    const alone = [contender('CHOM', one), contender('a bare workflow', bare)];
    heading('An operation of one step that does nothing, one after the other');
    tell(await takeTurns(rounds * 3, alone), [{ other: 'a bare workflow' }]);
    heading(`The same, ${IN_FLIGHT} in flight: all of them`);
    const crowd = [contender('CHOM', one, IN_FLIGHT), contender('a bare workflow', bare, IN_FLIGHT)];
    tell(await takeTurns(Math.min(rounds, 3), crowd), [{ other: 'a bare workflow' }]);
  } finally {
    if (worker) await ended(worker);
    await connection.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function contender(name: string, act: () => Promise<unknown>, times = 1): Contender {
  return { name, once: async () => void (await Promise.all(Array.from({ length: times }, act))) };
}

/** On a server of its own, so that none waits in line. Until its workflow has ended, which is after its outcome is written. */
async function operation({ chom }: Setting): Promise<void> {
  const temporal = await chom.temporal();
  const input: Script = { steps: [{ name: 'nothing', undo: false, final: false, when: true }], bugBefore: null };
  const submitter = { ...chom, temporal, config: { ...chom.config, taskQueue: OPERATIONS_QUEUE } };
  const request = { kind: 'provision-site', input, summary: 'bench', tenant: chom.tenant } as const;
  const id = await submit(submitter, { ...request, server: randomId(12), serverName: 'bench' });
  await temporal.workflow.getHandle(id).result();
}

async function bundle(directory: string, source: string): Promise<string> {
  return await bundled(new URL(source, import.meta.url), join(directory, `${randomId(6)}.js`));
}

async function startWorker({ rig }: Setting, words: readonly string[]): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('engine-worker.ts', import.meta.url)), words, {
    execArgv: ['--import', 'tsx'],
    env: { ...rig.environment, CHOM_TASK_QUEUE: OPERATIONS_QUEUE },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (exit) => reject(new Error(`the worker ended with ${exit} before it served`)));
  });
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}
