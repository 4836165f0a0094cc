import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import proto from '@temporalio/proto';
import { failure } from '../workflows/failures.js';
import { SEARCH_ATTRIBUTES } from '../workflows/names.js';
import { messageOf } from '../workflows/thrown.js';
import { ended } from './worker-process.js';

/** Temporal's development server as `chom dev` and the tests run it. */
export interface TemporalServer {
  address: string;
  uiAddress: string;
  process: ChildProcess;
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>;
}

export interface TemporalServerOptions {
  /** Path of the `temporal` program. */
  program: string;
  port: number;
  uiPort: number;
  /** Made when there is none; `default` is always there. */
  namespace?: string;
  /** SQLite file that keeps everything over restarts. */
  file: string;
  /** Where its log is written: it speaks of errors whenever it ends. */
  logFile: string;
  codecEndpoint?: string;
  /** `full` survives a power cut; `normal` is faster, for tests. */
  synchronous?: 'full' | 'normal';
}

/**
 * Priorities and fairness are ignored unless the server is told (measured with 1.29.1); one queue partition makes
 * their order exact; the transfer queue's default rate costs each step up to 50 ms; timers fire up to 1 s late by
 * default.
 */
export const DYNAMIC_CONFIG = [
  'history.transferProcessorMaxPollRPS=200',
  'history.timerProcessorMaxTimeShift="50ms"',
  'matching.useNewMatcher=true',
  'matching.enableFairness=true',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
  'system.forceSearchAttributesCacheRefreshOnRead=true',
];

/** The server's arguments. Everything it opens is bound to loopback. */
export function temporalArguments(options: TemporalServerOptions): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(options.port)],
    ...['--ui-ip', '127.0.0.1', '--ui-port', String(options.uiPort)],
    ...(options.namespace === undefined ? [] : ['--namespace', options.namespace]),
    ...['--db-filename', options.file, '--log-level', 'warn'],
    ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', `synchronous=${options.synchronous ?? 'full'}`],
    ...(options.codecEndpoint === undefined ? [] : ['--ui-codec-endpoint', options.codecEndpoint]),
    ...Object.values(SEARCH_ATTRIBUTES).flatMap(({ name }) => ['--search-attribute', `${name}=Keyword`]),
    ...DYNAMIC_CONFIG.flatMap((setting) => ['--dynamic-config-value', setting]),
  ];
}

/**
 * Starts the server and waits, up to 30 s, until it answers.
 * @throws InvalidInput when a port is in use: a server that answers there is somebody else's
 */
export async function startTemporal(options: TemporalServerOptions): Promise<TemporalServer> {
  await refusePortInUse(options.port, '--port');
  await refusePortInUse(options.uiPort, '--ui-port');
  // A process group of its own: Ctrl-C is ours to hand on, after the worker has ended.
  const log = openSync(options.logFile, 'a', 0o600);
  const [program = '', ...words] = [...(await dyingWithUs()), options.program, ...temporalArguments(options)];
  const server = spawn(program, words, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const address = `127.0.0.1:${options.port}`;
  const stop = async () => {
    server.kill('SIGINT');
    const gone = await Promise.race([ended(server).then(() => true), sleep(10_000, false, { ref: false })]);
    if (!gone) server.kill('SIGKILL');
    await ended(server);
  };
  try {
    await answers(server, address, options.logFile);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, uiAddress: `http://127.0.0.1:${options.uiPort}`, process: server, stop };
}

/**
 * What a command is prefixed with so that it does not outlive this process, however that ends: a server left behind by
 * a SIGKILL would keep the ports and the database from the next one. Linux alone can do that (prctl(2), PR_SET_PDEATHSIG);
 * elsewhere the prefix is empty. Killed is enough: what it has answered is on the disk.
 */
async function dyingWithUs(): Promise<string[]> {
  const prefix = ['setpriv', '--pdeathsig', 'KILL', '--'];
  const [program = '', ...words] = prefix;
  return await promisify(execFile)(program, [...words, 'true']).then(
    () => prefix,
    () => [],
  );
}

async function answers(server: ChildProcess, address: string, logFile: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: '1 second' });
      await connection.close();
      return;
    } catch (error) {
      if (server.exitCode !== null || Date.now() > deadline) {
        throw failure('TemporalUnavailable', `The Temporal development server did not start at ${address}`, {
          cause: messageOf(error),
          next: `look into ${logFile}`,
        });
      }
      await sleep(100);
    }
  }
}

/** Registers the search attributes that the namespace does not have yet. */
export async function prepareNamespace(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const names = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => name);
  const missing = names.filter((name) => !Object.hasOwn(customAttributes, name));
  if (missing.length > 0) await addSearchAttributes(connection, namespace, missing);
}

/** Registers search attributes of the type keyword. */
export async function addSearchAttributes(connection: Connection, namespace: string, names: string[]): Promise<void> {
  const keyword = proto.temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD;
  const searchAttributes = Object.fromEntries(names.map((name) => [name, keyword]));
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
}

/** Keeps closed operations for `days` in a namespace that is ours alone. */
export async function keepHistories(connection: Connection, namespace: string, days: number): Promise<void> {
  await connection.workflowService.updateNamespace({
    namespace,
    config: { workflowExecutionRetentionTtl: msToTs(`${days} days`) },
  });
}

/** @throws InvalidInput when something listens on the port already */
export async function refusePortInUse(port: number, option: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => {
      reject(
        failure('InvalidInput', `Port ${port} on 127.0.0.1 is in use`, {
          cause: error.message,
          next: `end what uses it, or choose another with ${option}`,
        }),
      );
    });
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()));
  });
}
