import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { inject } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../lab/ports.js';
import { prepareNamespace } from '../../src/client/temporal-server.js';
import { messageOf } from '../../src/workflows/thrown.js';
import { createSchema, query } from '../inventory/postgres.js';

/** What a test needs to start a Temporal on the PostgreSQL of its run. */
export interface OnPostgres {
  /** Path of the full Temporal server. */
  program: string;
  /** Of PostgreSQL on loopback, for its role `temporal`. */
  port: number;
  password: string;
  /** URL of PostgreSQL, of its superuser. */
  url: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** Undefined wherever tests do not run on PostgreSQL. */
    onPostgres: OnPostgres | undefined;
  }
}

/** A full Temporal server with databases of its own. */
export interface FullTemporal {
  address: string;
  /** Ends it and starts it again on the same databases and ports: all that it knows is in them. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  stop(): Promise<void>;
}

/** The databases of a server; their names are those of its schemas. */
export const DATABASES = ['temporal', 'visibility'] as const;
/** Before their names: of those that have tables and nothing else. */
export const TEMPLATE = 'template_';

/** Settings that put an inventory of its own there; none where the tests do not run on PostgreSQL. */
export async function inventorySettings(): Promise<{ CHOM_DATABASE_URL?: string }> {
  const on = inject('onPostgres');
  return on ? { CHOM_DATABASE_URL: await createSchema(on.url) } : {};
}

const START_MS = 120_000;
const dynamicConfig = fileURLToPath(new URL('../../packaging/compose/temporal/dynamic-config.yaml', import.meta.url));

/** Starts a server with the settings of the compose file and waits until it answers, with the namespace `default`. */
export async function startFullTemporal(on: OnPostgres): Promise<FullTemporal> {
  const name = `t${randomBytes(6).toString('hex')}_`;
  for (const database of DATABASES) await copyDatabase(on.url, TEMPLATE + database, name + database);
  const home = await mkdtemp(join(tmpdir(), 'chom-temporal-'));
  const { address, file, server: first } = await firstServer(on, name, home);
  let server = first;
  const self: FullTemporal = {
    address,
    async restart(signal) {
      await server.end(signal);
      server = await startServer(on.program, file, address);
    },
    async stop() {
      await server.end('SIGKILL');
      for (const database of DATABASES) await query(on.url, `drop database ${name}${database} with (force)`);
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    await makeNamespace(address);
    return self;
  } catch (error) {
    await self.stop();
    throw error;
  }
}

/** The version of its tables stands under its name. */
async function copyDatabase(url: string, from: string, name: string): Promise<void> {
  await query(url, `create database ${name} template ${from} owner temporal`);
  const inside = new URL(url);
  inside.pathname = name;
  await query(inside.href, `update schema_version set db_name = '${name}'`);
}

/** It takes eight ports, of which somebody else may take one before it listens there; then it gets others. */
async function firstServer(on: OnPostgres, name: string, home: string) {
  const file = join(home, 'config.yaml');
  for (let attempt = 1; ; attempt += 1) {
    const { address, config } = await configuration(on, name);
    // Its own format is YAML.
    await writeFile(file, stringify(config));
    try {
      return { address, file, server: await startServer(on.program, file, address) };
    } catch (error) {
      if (attempt === 5 || !messageOf(error).includes('address already in use')) throw error;
    }
  }
}

/** One process for all its parts, as in the compose file. */
async function configuration(on: OnPostgres, name: string) {
  const service = async () => ({
    rpc: { grpcPort: await freePort(), membershipPort: await freePort(), bindOnLocalHost: true },
  });
  const [frontend, history, matching, worker] = [await service(), await service(), await service(), await service()];
  const address = `127.0.0.1:${frontend.rpc.grpcPort}`;
  const store = (database: string) => ({
    sql: {
      pluginName: 'postgres12',
      databaseName: name + database,
      ...{ connectAddr: `127.0.0.1:${on.port}`, connectProtocol: 'tcp' },
      ...{ user: 'temporal', password: on.password },
      ...{ maxConns: 20, maxIdleConns: 20, maxConnLifetime: '1h' },
    },
  });
  const cluster = { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend' };
  const config = {
    log: { stdout: true, level: 'error' },
    persistence: {
      ...{ defaultStore: 'temporal', visibilityStore: 'visibility', numHistoryShards: 8 },
      datastores: Object.fromEntries(DATABASES.map((database) => [database, store(database)])),
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: { frontend, history, matching, worker },
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10 },
      ...{ masterClusterName: 'active', currentClusterName: 'active' },
      clusterInformation: { active: { ...cluster, rpcAddress: address } },
    },
    dynamicConfigClient: { filepath: dynamicConfig, pollInterval: '60s' },
  };
  return { address, config };
}

async function startServer(program: string, config: string, address: string) {
  // It ends with the tests, also when those are killed.
  const words = ['--pdeathsig', 'KILL', '--', program, '--config-file', config, '--allow-no-auth', 'start'];
  const server = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-8000)));
  }
  const hasEnded = () => server.exitCode !== null || server.signalCode !== null;
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (hasEnded()) return;
    server.kill(signal);
    await once(server, 'exit');
  };
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: '5 seconds' });
      await connection.close();
      return { end };
    } catch (error) {
      if (hasEnded() || Date.now() > deadline) {
        await end('SIGKILL');
        throw new Error(`Temporal did not start at ${address}:\n${log}`, { cause: error });
      }
      await sleep(100);
    }
  }
}

/** As packaging/compose/temporal/namespace.sh does. */
async function makeNamespace(address: string): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    const workflowExecutionRetentionPeriod = msToTs('30 days');
    const deadline = Date.now() + START_MS;
    for (;;) {
      try {
        await connection.workflowService.registerNamespace({ namespace: 'default', workflowExecutionRetentionPeriod });
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(100);
      }
    }
    await prepareNamespace(connection, 'default');
  } finally {
    await connection.close();
  }
}
