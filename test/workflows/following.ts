import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { inject } from 'vitest';
import { freePort } from '../../lab/ports.js';
import { coordinationActivities, type Members } from '../../src/activities/coordination.js';
import type { Deps } from '../../src/activities/deps.js';
import { operationActivities } from '../../src/activities/operation.js';
import { settlingActivities } from '../../src/activities/settling.js';
import { stepActivity } from '../../src/activities/step.js';
import { fence } from '../../src/activities/workplace.js';
import { connectTemporal, sealedDataConverter } from '../../src/client/connection.js';
import { members } from '../../src/client/members.js';
import { openChom, type Chom } from '../../src/client/open.js';
import { wakeOperations } from '../../src/client/wake.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { startTemporal, type TemporalServer } from '../../src/client/temporal-server.js';
import type { Host } from '../../src/host/host.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { StepContext } from '../../src/workflows/step.js';
import { runHere, type Ran } from '../client/command-line.js';
import { checkRun } from '../client/documents.js';
import { inventorySettings, startFullTemporal } from '../postgres/temporal.js';
import type { FollowedActivities } from './followed.js';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The built `chom`, in a process of its own. */
export interface Running {
  process: ChildProcess;
  stdout: string;
  stderr: string;
  ended: Promise<number | null>;
}

/** A real Temporal, an inventory with the server `web1`, and a worker whose steps wait for the test. */
export interface Following {
  chom: Chom;
  /** The settings of `chom` and of the commands. */
  environment: Record<string, string>;
  start(...words: string[]): Running;
  /** The same with other settings than the test's own; undefined takes one away. */
  startWith(environment: Record<string, string | undefined>, ...words: string[]): Running;
  /** The same on a terminal of its own, whose input is the process's standard input. */
  startOnTerminal(...words: string[]): Running;
  /** Without a process, which would cost most of the time. */
  run(...words: string[]): Promise<Ran>;
  /** Until its function is called, steps for that target wait. */
  hold(target: string): () => void;
  fails: Map<string, Error>;
  /** `atOnce`: so many activities; `taskQueue`, `namespace`: others than the commands are set to. */
  startWorker(options?: { taskQueue?: string; namespace?: string; atOnce?: number }): Promise<void>;
  /** Another server. */
  addServer(name: string): Promise<void>;
  stopWorker(): Promise<void>;
  close(): Promise<void>;
}

/** `given`: a Temporal of the test's own, which ends with the rest. */
export async function startFollowing(given?: Pick<TemporalServer, 'address' | 'stop'>): Promise<Following> {
  const home = await mkdtemp(join(tmpdir(), 'chom-test-'));
  const server = given ?? (await startServer(home));
  const environment = {
    ...{ CHOM_HOME: home, TEMPORAL_ADDRESS: server.address, TEMPORAL_CONFIG_FILE: join(home, 'none') },
    ...(await inventorySettings()),
  };
  const chom = await openChom(environment);
  await addServer(chom, 'web1');
  const held = new Map<string, Promise<void>>();
  const fails = new Map<string, Error>();
  const logger = new DefaultLogger('ERROR', () => {});
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
  const converter = sealedDataConverter(chom.keyring);
  const bundled = { workflowsPath: path('followed.ts'), logger };
  const workflowBundle = await bundleWorkflowCode({
    ...bundled,
    ...(converter.failureConverterPath !== undefined && { failureConverterPath: converter.failureConverterPath }),
  });
  let worker: { stop(): Promise<void> } | undefined;
  const started = new Set<Running>();
  const spawned = (
    command: string,
    words: string[],
    more: Record<string, string | undefined> = {},
    said: readonly string[] = [],
  ): Running => {
    const child = spawn(command, words, {
      cwd: path('../..'),
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment, ...more },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const running: Running = {
      ...{ process: child, stdout: '', stderr: '' },
      ended: new Promise<number | null>((resolve) => child.once('close', resolve)).then((exit) => {
        checkRun(said, { exit, stdout: running.stdout }, { ...environment, ...more });
        return exit;
      }),
    };
    child.stdout.on('data', (chunk: Buffer) => (running.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (running.stderr += chunk.toString()));
    started.add(running);
    return running;
  };
  const chomWords = (words: string[]) => ['dist/cli/chom.js', ...words];
  const self: Following = {
    ...{ chom, environment, fails },
    start: (...words) => spawned(process.execPath, chomWords(words), {}, words),
    startWith: (more, ...words) => spawned(process.execPath, chomWords(words), more, words),
    startOnTerminal(...words) {
      const command = [process.execPath, ...chomWords(words)].map((word) => `'${word}'`).join(' ');
      return spawned('script', ['-qec', command, '/dev/null'], { TERM: 'xterm' });
    },
    run: async (...words) => await runHere(words, environment),
    hold(target) {
      let release = () => {};
      held.set(target, new Promise((resolve) => (release = resolve)));
      return release;
    },
    addServer: async (name) => await addServer(chom, name),
    async startWorker({ taskQueue = chom.config.taskQueue, namespace = 'default', atOnce } = {}) {
      const connection = await NativeConnection.connect({ address: server.address });
      const temporal = await connectTemporal(chom.keyring, { ...environment, TEMPORAL_NAMESPACE: namespace });
      const running = await Worker.create({
        connection,
        ...{ taskQueue, namespace },
        workflowBundle,
        ...(atOnce !== undefined && {
          maxConcurrentActivityTaskExecutions: atOnce,
          maxConcurrentWorkflowTaskExecutions: 2,
        }),
        activities: activities(
          { ...chom, temporal: async () => temporal },
          held,
          fails,
          members({ ...chom, temporal }),
        ),
        dataConverter: converter,
        maxHeartbeatThrottleInterval: '100 milliseconds',
        shutdownGraceTime: '1 second',
        shutdownForceTime: '2 seconds',
      });
      const ended = running.run().catch(() => undefined);
      worker = {
        async stop() {
          running.shutdown();
          await ended;
          await connection.close();
          await temporal.connection.close();
        },
      };
    },
    async stopWorker() {
      await worker?.stop();
      worker = undefined;
    },
    async close() {
      for (const { process: child } of started) child.kill('SIGKILL');
      await self.stopWorker();
      await chom.close();
      await server.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
  return self;
}

async function startServer(home: string): Promise<Pick<TemporalServer, 'address' | 'stop'>> {
  const onPostgres = inject('onPostgres');
  if (onPostgres) return await startFullTemporal(onPostgres);
  const [port, uiPort] = [await freePort(), await freePort()];
  const program = await findProgram(temporalCli);
  const [file, logFile] = [join(home, 'temporal.db'), join(home, 'temporal.log')];
  return await startTemporal({ program, port, uiPort, file, logFile, synchronous: 'normal' });
}

function activities(
  chom: Chom,
  held: Map<string, Promise<void>>,
  fails: Map<string, Error>,
  ofBatches: Members,
): Record<string, (...args: never[]) => Promise<unknown>> {
  const { inventory, keyring, config } = chom;
  const host = { silence: async () => {} } as unknown as Host;
  const leave = async () => {};
  const hosts = { for: async () => host, withKey: unreachable, offeredHostKey: unreachable, leave, close: leave };
  const wake = async (ids: readonly string[]) => await wakeOperations(await chom.temporal(), ids);
  const log = pino({ level: 'silent' });
  const restic = async () => 'restic';
  const deps: Deps = { inventory, keyring, config, hosts, controller: 'test', log, wake, restic };
  const steps: FollowedActivities = {
    async act(_, target) {
      await held.get(target);
      const error = fails.get(target);
      if (error) throw error;
    },
    async reserve(step, plan) {
      await inventory.fenced(fence(step), async (trx) => void (await sites.reserve(trx, plan, step.operation)));
    },
    async activateSite(step, site) {
      await inventory.fenced(fence(step), async (trx) => {
        await sites.activate(trx, site);
        await operations.commitOperation(trx, step.operation);
      });
    },
    async activateServer(step, id) {
      await inventory.fenced(fence(step), async (trx) => {
        await servers.setStatus(trx, id, 'active');
        await operations.commitOperation(trx, step.operation);
      });
    },
  };
  const all = [operationActivities(deps), settlingActivities(deps), steps].flatMap((group) => Object.entries(group));
  type Activity = (step: StepContext, ...args: never[]) => Promise<unknown>;
  return {
    ...Object.fromEntries(all.map(([name, activity]) => [name, stepActivity(deps, activity as Activity)])),
    ...coordinationActivities(deps, ofBatches),
  };
}

async function addServer(chom: Chom, name: string): Promise<void> {
  const id = `srv-${name}`;
  await chom.inventory.transaction(async (trx) => {
    await servers.add(trx, { id, tenant: chom.tenant, name, address: '192.0.2.10', port: 22, user: 'root' });
    await servers.setStatus(trx, id, 'active');
  });
}

/** Waits, 60 s unless told, until `condition` gives something. */
export async function until<Result>(
  what: string,
  condition: () => Result | Promise<Result>,
  milliseconds = 60_000,
): Promise<NonNullable<Result>> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`It never came: ${what}`);
    await sleep(50);
  }
}

async function unreachable(): Promise<never> {
  throw new Error('these tests reach no host');
}
