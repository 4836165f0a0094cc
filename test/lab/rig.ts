import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { type HostOrder, type Lab, type LabHost, startLab } from '../../lab/index.js';
import { freePort } from '../../lab/ports.js';
import { resticProgram } from '../../lab/restic-programs.js';
import { sealedDataConverter, type TemporalAddress } from '../../src/client/connection.js';
import { openStores, type Stores } from '../../src/client/open.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { startTemporal, type TemporalServer } from '../../src/client/temporal-server.js';
import { PRODUCT } from './product.js';
import { type Chom, chomCommand, type Ran, type Running } from './rig-command.js';
import { visit, type Visit, type VisitOptions } from './rig-visit.js';

type History = ReturnType<typeof historyFromJSON>;

/** A whole CHOM on real hosts: a lab, a Temporal server, a home of its own, the built command line and a worker. */
export interface Rig extends Stores {
  readonly lab: Lab;
  readonly home: string;
  /** What every process of the rig is started with. */
  readonly environment: NodeJS.ProcessEnv;
  /** Sealed with the rig's keyring. */
  readonly temporal: Client & TemporalAddress;
  readonly chom: Chom;
  /** Starts a worker and waits until it serves the task queue. One at a time. */
  startWorker(): Promise<void>;
  /** SIGKILL; returns when it is gone. */
  killWorker(): Promise<void>;
  /** As an operator stops it: what it works on is left for the next one. */
  stopWorker(): Promise<void>;
  /** All that the workers have written so far. */
  workerLog(): Promise<string>;
  /** SIGKILLs Temporal; `startTemporal` starts it again, with what it had, at the same address. */
  killTemporal(): Promise<void>;
  startTemporal(): Promise<void>;
  /** `chom server add`, with the host's key confirmed. Throws unless it succeeds. */
  enrol(host: LabHost, ...words: string[]): Promise<Ran>;
  /** Visits a site over HTTPS (`https: false`: HTTP) on the server of that address. */
  fetch(domain: string, options: Omit<VisitOptions, 'root'> & { https?: boolean }): Promise<Visit>;
  /** The operation's history, replayed against the built workflows: throws when they would do something else. */
  replayed(operation: string): Promise<History>;
  /** Ends everything; done twice it does nothing. */
  down(): Promise<void>;
}

export interface RigOptions {
  hosts: readonly HostOrder[];
  acme?: boolean;
  /** More of an environment for every process of the rig. */
  environment?: NodeJS.ProcessEnv;
}

/** Starts a rig; call `down` when done with it. No worker runs yet. */
export async function startRig({ hosts, acme = false, environment: more = {} }: RigOptions): Promise<Rig> {
  const undo: (() => Promise<unknown>)[] = [];
  const down = async () => {
    const problems: unknown[] = [];
    for (let end = undo.pop(); end; end = undo.pop()) await end().catch((error: unknown) => problems.push(error));
    if (problems.length > 0) throw new AggregateError(problems, 'the rig did not go down cleanly');
  };
  try {
    const home = await mkdtemp(join(tmpdir(), 'chom-rig-'));
    undo.push(async () => await rm(home, { recursive: true, force: true }));
    const lab = await startLab({ hosts, acme });
    undo.push(lab.down);
    const server = await keepTemporal(home);
    undo.push(server.stop);
    const address = server.address;
    const environment = {
      ...plainEnvironment(),
      TEMPORAL_ADDRESS: address,
      CHOM_HOME: home,
      ...labSettings(lab),
      // What maintains a storage from CHOM's own machine; no release is downloaded here.
      ...(lab.hasStore && { CHOM_RESTIC: await resticProgram() }),
      ...more,
    };
    const stores = await openStores(environment);
    undo.push(stores.inventory.close);
    const connection = await Connection.connect({ address });
    undo.push(async () => await connection.close());
    const client = new Client({ connection, dataConverter: sealedDataConverter(stores.keyring) });
    const workers = keepWorker(environment, join(home, 'worker.log'));
    undo.push(workers.killWorker);
    const commands = new Set<Running>();
    undo.push(async () => await Promise.all([...commands].map(async (command) => await command.stop('SIGKILL'))));
    const chom = chomCommand(environment, (running) => {
      commands.add(running);
      const forget = () => commands.delete(running);
      running.ended.then(forget, forget);
    });
    return {
      ...stores,
      ...workers,
      lab,
      home,
      environment,
      temporal: Object.assign(client, { address, namespace: 'default' }),
      chom,
      killTemporal: server.kill,
      startTemporal: server.start,
      async enrol(host, ...words) {
        const login = ['--host', host.address, '--key', host.keyFile, '--host-key', host.hostKey];
        return await chom.must('server', 'add', host.name, ...login, '--json', ...words);
      },
      async fetch(domain, { https = true, ...options }) {
        return await visit(domain, { ...options, ...(https && { root: await lab.acme.rootCertificate() }) });
      },
      async replayed(operation) {
        const made = await client.workflow.getHandle(operation).fetchHistory();
        return await replay(operation, historyFromJSON(JSON.parse(historyToJSON(made))), stores);
      },
      down,
    };
  } catch (error) {
    await down().catch(() => undefined);
    throw error;
  }
}

/** This process's environment without any setting of CHOM or Temporal: those of the machine must decide nothing. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const settings = /^(CHOM|TEMPORAL|VITEST)_|^(VITEST|NODE_OPTIONS|NODE_ENV|TEST|DEV)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !settings.test(name)));
}

function labSettings(lab: Lab): NodeJS.ProcessEnv {
  const { restic } = lab;
  return {
    ...authoritySettings(lab),
    ...(restic && { CHOM_RESTIC_URL: restic.url, CHOM_RESTIC_SHA256: restic.sha256 }),
  };
}

function authoritySettings(lab: Lab): NodeJS.ProcessEnv {
  // Nobody is asked beyond this machine, also where a test needs no authority.
  if (!lab.hasAcme) return { CHOM_ACME_DIRECTORY: 'https://127.0.0.1:9/dir', CHOM_DNS_SERVER: '127.0.0.1:9' };
  const { directoryUrl, caFile, dnsServer } = lab.acme;
  return { CHOM_ACME_DIRECTORY: directoryUrl, CHOM_ACME_CA_FILE: caFile, CHOM_DNS_SERVER: dnsServer };
}

async function keepTemporal(home: string) {
  const program = await findProgram(temporalCli);
  const [port, uiPort] = [await freePort(), await freePort()];
  const file = join(home, 'temporal.db');
  let server: TemporalServer | null = null;
  // It has a process group of its own, so it would outlive a test process that ends early.
  const kill = () => server?.process.kill('SIGKILL');
  process.once('exit', kill);
  const start = async () => {
    server = await startTemporal({ program, port, uiPort, file, logFile: `${file}.log`, synchronous: 'normal' });
  };
  await start();
  return {
    address: `127.0.0.1:${port}`,
    start,
    async kill() {
      if (server) await gone(server.process, 'SIGKILL');
      server = null;
    },
    async stop() {
      await server?.stop();
      process.off('exit', kill);
    },
  };
}

function keepWorker(environment: NodeJS.ProcessEnv, logFile: string) {
  let worker: ChildProcess | null = null;
  const end = async (signal: NodeJS.Signals) => {
    if (worker) await gone(worker, signal);
    worker = null;
  };
  return {
    async startWorker() {
      if (worker && worker.exitCode === null && worker.signalCode === null) throw new Error('a worker runs already');
      const log = await open(logFile, 'a');
      const words = ['--max-semi-space-size=4', '--max-old-space-size=160', PRODUCT.worker];
      // The channel ends the worker when this process ends, however it does.
      const stdio = ['ignore', log.fd, log.fd, 'ipc'] as const;
      const child = spawn(process.execPath, words, {
        env: { MALLOC_ARENA_MAX: '2', ...environment },
        stdio: [...stdio],
      });
      worker = child;
      await log.close();
      await new Promise<void>((resolve, reject) => {
        child.once('message', () => resolve());
        child.once('exit', (exit, signal) => {
          reject(new Error(`the worker ended with ${exit ?? signal} before it served; its log is ${logFile}`));
        });
      }).catch(async (error: unknown) => {
        throw new Error(`${String(error)}\n${(await readFile(logFile, 'utf8')).slice(-2000)}`);
      });
    },
    killWorker: async () => await end('SIGKILL'),
    stopWorker: async () => await end('SIGTERM'),
    workerLog: async () => await readFile(logFile, 'utf8').catch(() => ''),
  };
}

async function gone(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await exited;
}

async function replay(operation: string, history: History, { keyring }: Stores): Promise<History> {
  // Loaded by those tests alone that replay: it is the native half of the SDK.
  const { DefaultLogger, Runtime, Worker } = await import('@temporalio/worker');
  if (!replay.quiet) Runtime.install({ logger: new DefaultLogger('ERROR') });
  replay.quiet = true;
  const options = {
    workflowBundle: { codePath: PRODUCT.workflowBundle },
    dataConverter: sealedDataConverter(keyring),
    replayName: operation,
  };
  await Worker.runReplayHistory(options, history, operation);
  return history;
}
replay.quiet = false;
