import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Cli } from '../../src/client/cli.js';
import { runCommandLine } from '../../src/client/commands.js';
import { openStores, type Stores } from '../../src/client/open.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { checkRun } from './documents.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** What a command ended with and wrote. */
export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** The command line with a data directory of its own, and a Temporal and a host that note whoever comes near. */
export interface CommandLine {
  home: string;
  stores: Stores;
  environment: Record<string, string>;
  /** Connections that were made to Temporal or to the server `web1`. */
  contacts(): number;
  /** The address of `web1`. */
  host: { address: string; port: number };
  /** Runs `chom` in a process of its own. */
  chom(...words: string[]): Promise<Ran>;
  /** The same without a process, for the many. */
  here(...words: string[]): Promise<Ran>;
  close(): Promise<void>;
}

export async function startCommandLine(): Promise<CommandLine> {
  const home = await mkdtemp(join(tmpdir(), 'chom-test-'));
  let contacts = 0;
  const listening = await Promise.all([0, 1].map(() => listen(() => (contacts += 1))));
  const [temporal = 0, host = 0] = listening.map((server) => (server.address() as AddressInfo).port);
  const environment = {
    CHOM_HOME: home,
    TEMPORAL_ADDRESS: `127.0.0.1:${temporal}`,
    TEMPORAL_CONFIG_FILE: join(home, 'none'),
  };
  const stores = await openStores(environment);
  return {
    ...{ home, stores, environment },
    contacts: () => contacts,
    host: { address: '127.0.0.1', port: host },
    chom: async (...words) => await runChom(words, environment),
    here: async (...words) => await runHere(words, environment),
    async close() {
      await stores.inventory.close();
      for (const server of listening) server.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Runs `chom` in a process of its own, with nothing on its standard input. */
export async function runChom(words: readonly string[], environment: Record<string, string>): Promise<Ran> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/client/chom.ts', ...words], {
    cwd: repository,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ran: Ran = { status: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (ran.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (ran.stderr += chunk.toString()));
  ran.status = await new Promise((resolve) => child.once('close', resolve));
  checkRun(words, { ...ran, exit: ran.status }, environment);
  return ran;
}

/** The same command line without a process of its own. */
export async function runHere(words: readonly string[], environment: Record<string, string>): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const cli: Cli = { environment, stdin: new PassThrough(), stdout, stderr, exitStatus: 0 };
  const status = await runCommandLine(words, cli);
  const text = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? '';
  const ran = { status, stdout: text(stdout), stderr: text(stderr) };
  checkRun(words, { ...ran, exit: ran.status }, environment);
  return ran;
}

async function listen(contact: () => void): Promise<Server> {
  const server = createServer((socket) => {
    contact();
    socket.destroy();
  });
  return await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** A server that is enrolled, as its operation leaves it. */
export async function addServer(
  { stores, host }: Pick<CommandLine, 'stores' | 'host'>,
  name: string,
  php = ['8.4'],
  tenant = 'default',
): Promise<string> {
  const id = `srv-${name}`;
  await stores.inventory.transaction(async (trx) => {
    await servers.add(trx, { id, tenant, name, ...host, user: 'root' });
    await servers.recordFacts(trx, id, { os: 'debian', osVersion: '13', versions: { php, nginx: '1.26.3' } });
    await servers.setStatus(trx, id, 'active');
  });
  return id;
}

/** A live site, as its operation leaves it. */
export async function addSite({ stores }: CommandLine, server: string, domain: string, aliases: string[] = []) {
  const site = `s${domain
    .replaceAll(/[^a-z2-7]/g, '')
    .padEnd(9, 'a')
    .slice(0, 9)}`;
  const source = { kind: 'placeholder' } as const;
  const plan = {
    site,
    tenant: 'default',
    server,
    serverName: 'web1',
    domain,
    aliases,
    type: 'static',
    php: null,
    tls: true,
    source,
  };
  await stores.inventory.transaction(async (trx) => {
    await sites.reserve(trx, { ...plan, type: 'static' }, `provision-site-${domain}`);
    await sites.activate(trx, site);
  });
  return site;
}

/** How many rows each table of the inventory has. */
export async function rowCounts({ stores }: CommandLine): Promise<Record<string, number>> {
  const tables = [
    'servers',
    'credentials',
    'sites',
    'siteNames',
    'operations',
    'places',
    'uploads',
    'uploadChunks',
  ] as const;
  const counts: Record<string, number> = {};
  for (const table of tables)
    counts[table] = (await stores.inventory.db.selectFrom(table).selectAll().execute()).length;
  return counts;
}
