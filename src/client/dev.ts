import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from '@temporalio/client';
import { startCodecServer } from './codec-server.js';
import { connectTo, temporalSettings } from './connection.js';
import { developAlone } from '../inventory/development.js';
import { failure } from '../workflows/failures.js';
import { interruption, type Interruption } from './interruption.js';
import { openStores } from './open.js';
import { EXIT } from './problem.js';
import { findProgram } from './program.js';
import { makeRecoveryKey } from './recovery-key.js';
import { temporalCli } from './programs/temporal.js';
import { keepHistories, prepareNamespace, startTemporal, type TemporalServer } from './temporal-server.js';
import { ended, startWorker } from './worker-process.js';

/** Ports of `chom dev`, on loopback. */
export interface DevOptions {
  port: number;
  uiPort: number;
  codecPort: number;
}

/** `chom worker`: returns what it ends with. A worker that cannot start has said why itself. */
export async function runWorker(environment: NodeJS.ProcessEnv): Promise<number> {
  const interrupted = interruption();
  const worker = startWorker(environment);
  const died = ended(worker).then((status) => ({ status }));
  const first = await Promise.race([died, interrupted.promise]);
  if (first) {
    if (first.status !== null) return first.status || EXIT.failed;
    throw failure('Unexpected', `The worker was killed (${worker.signalCode})`, {
      cause: 'somebody ended it, or this machine has too little memory',
      next: 'chom worker: operations go on where they were',
    });
  }
  worker.kill('SIGTERM');
  await died;
  return EXIT.ok;
}

/** `chom codec-server` */
export async function runCodecServer({ port, host, ui }: { port: number; host: string; ui: string[] }): Promise<void> {
  const interrupted = interruption();
  const { config, keyring, inventory } = await openStores(process.env);
  await inventory.close();
  const server = await startCodecServer(keyring, { port, host, option: '--port', token: config.codecToken }, ui);
  process.stderr.write(`Codec server http://${host}:${port} for ${ui.join(', ')}\n`);
  await interrupted.promise;
  server.close();
}

/** `chom dev` */
export async function runDev(options: DevOptions, given: NodeJS.ProcessEnv): Promise<void> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const settings = temporalSettings(given);
  const stores = await openStores(given);
  const { config, keyring, inventory } = stores;
  await inventory.close();
  await makeRecoveryKey(stores, say);
  // Before Ctrl-C is ours: it shall end a build that takes minutes.
  const program = settings.configured ? null : await findProgram(temporalCli);
  const interrupted = interruption();
  const undo: (() => Promise<unknown>)[] = [];
  try {
    const alone = program === null || config.databaseUrl === undefined ? null : await developAlone(config.databaseUrl);
    if (alone) undo.push(alone.release);
    const uiOrigins = ['localhost', '127.0.0.1'].map((host) => `http://${host}:${options.uiPort}`);
    const listen = { port: options.codecPort, option: '--codec-port', token: config.codecToken };
    const codec = await startCodecServer(keyring, listen, uiOrigins);
    undo.push(async () => codec.close());
    const own = program === null ? null : await ownServer(options, { program, home: config.home, ...settings });
    if (own) undo.push(own.stop);
    const { namespace, connectionOptions } = settings;
    const address = own?.address ?? connectionOptions.address;
    const environment = { ...given, ...(own && { TEMPORAL_ADDRESS: own.address }) };
    await prepare(own ? { address } : connectionOptions, namespace, own !== null);
    const worker = keepWorker(environment, say, interrupted);
    undo.push(worker);
    say(`Temporal    ${address}`);
    if (own) say(`Temporal UI ${own.uiAddress}`);
    say(`Data        ${config.home}`);
    if (own && own.address !== '127.0.0.1:7233') say(`Set         TEMPORAL_ADDRESS=${own.address}`);
    say('Next        chom server add NAME --host ADDRESS --key FILE');
    await Promise.race([
      interrupted.promise,
      ...(own ? [serverDied(own, interrupted)] : []),
      ...(alone ? [alone.lost] : []),
    ]);
  } finally {
    await endAll(undo.toReversed());
  }
}

/** Ends everything, also where the end of one thing fails; then that is the failure. */
async function endAll(ends: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of ends) await end().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function ownServer(
  { port, uiPort, codecPort }: DevOptions,
  { program, home, namespace }: { program: string; home: string; namespace: string },
): Promise<TemporalServer> {
  return await startTemporal({
    program,
    port,
    uiPort,
    namespace,
    file: join(home, 'temporal.db'),
    logFile: join(home, 'temporal.log'),
    codecEndpoint: `http://127.0.0.1:${codecPort}`,
  });
}

async function prepare(options: ConnectionOptions, namespace: string, own: boolean): Promise<void> {
  const connection = await connectTo(options);
  try {
    await prepareNamespace(connection, namespace);
    if (own) await keepHistories(connection, namespace, 30);
  } finally {
    await connection.close();
  }
}

/** Runs a worker, and another one when it dies, until the end; returns how to end it. */
function keepWorker(environment: NodeJS.ProcessEnv, say: (text: string) => void, interrupted: Interruption) {
  let worker: ChildProcess | undefined;
  const keep = async () => {
    while (!interrupted.happened) {
      worker = startWorker(environment);
      const status = await ended(worker);
      if (interrupted.happened) return;
      say(`The worker ended (${status ?? worker.signalCode}); starting another one.`);
      await sleep(1000);
    }
  };
  const kept = keep();
  return async () => {
    worker?.kill('SIGTERM');
    await kept;
  };
}

async function serverDied(server: TemporalServer, interrupted: Interruption): Promise<void> {
  const status = await ended(server.process);
  if (interrupted.happened) return;
  // Nothing is started any more: what follows is the end.
  interrupted.interrupt();
  throw failure('TemporalUnavailable', `The Temporal server ended by itself (${status ?? server.process.signalCode})`, {
    next: 'look into temporal.log beside its database, and start chom dev again: operations go on where they were',
  });
}
