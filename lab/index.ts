import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from '../src/client/programs/cache.js';
import { failure } from '../src/workflows/failures.js';
import { type LabAcme, labAcme } from './acme.js';
import { type Base, base, type DebianRelease } from './base.js';
import { REPOSITORY_PORT } from './boot.js';
import { type LabHost, labHost } from './host.js';
import { bridgeAddress } from './network.js';
import { poll } from './poll.js';
import { acmePrograms } from './programs.js';
import { resticProgram, restServerProgram } from './restic-programs.js';
import { requireLab } from './requirements.js';
import { type HostState, isRunning, type LabState, readState } from './state.js';
import { type LabOrder, STAY } from './order.js';
import { s3ServerProgram } from './s3-program.js';
import { type LabStore, labStore } from './store.js';
import { sweep } from './sweep.js';

export type { LabAcme } from './acme.js';
export type { DebianRelease } from './base.js';
export type { LabHost } from './host.js';
export type { LabStore } from './store.js';

/** A host to make. */
export interface HostOrder {
  /** A host name: small letters, digits, hyphens; at most 20 characters. */
  name: string;
  /** Debian 13 unless told otherwise. */
  debian?: DebianRelease;
  /** 4096 unless told otherwise; it takes space only as it fills. */
  diskMegabytes?: number;
  /** Without web server, PHP, database and restic: enrolment installs them from the lab's own repository. */
  bare?: boolean;
  /** It keeps backups, by SFTP and by restic's REST server. */
  store?: boolean;
  /** And by S3. */
  s3?: boolean;
}

export interface LabOptions {
  hosts: readonly HostOrder[];
  /** With a certificate authority and names. */
  acme?: boolean;
  /** Unique on this machine; one is made up when it is missing. */
  name?: string;
  /** The lab stays when this process ends. Otherwise it goes with it, however it ends. */
  stays?: boolean;
}

/** Hosts on a network of their own. */
export interface Lab {
  readonly name: string;
  readonly hosts: readonly LabHost[];
  /** Throws a RangeError when there is no such host. */
  host(name: string): LabHost;
  readonly hasAcme: boolean;
  /** Throws when the lab was started without. */
  readonly acme: LabAcme;
  readonly hasStore: boolean;
  /** The first host that keeps backups. Throws when there is none. */
  readonly store: LabStore;
  /** A restic for hosts whose own is too old, as CHOM is told of one. Null where there is no such host. */
  readonly restic: { url: string; sha256: string } | null;
  /** Removes the lab. Done twice it does nothing. */
  down(): Promise<void>;
}

const NAME = /^[a-z][a-z0-9-]{0,19}$/;
let made = 0;

/**
 * Makes a lab, first getting and building what it needs, and waits until each host has booted and lets us log in. Removes what killed
 * labs have left. `Forbidden` where labs cannot run, `Conflict` when the name is taken.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
  const name = options.name ?? `t${process.pid}-${made++}`;
  const hosts = options.hosts.map(complete);
  for (const each of [name, ...hosts.map((host) => host.name)]) {
    if (!NAME.test(each)) throw failure('InvalidInput', `${each} is no name for a lab or a host of one`);
  }
  await requireLab();
  const bases: Record<string, Base> = {};
  for (const host of hosts) bases[host.name] = await base(host.debian, host.bare);
  const acme = options.acme ? await acmePrograms() : undefined;
  const restServer = hosts.some(({ store }) => store) ? await restServerProgram() : undefined;
  const s3Server = hosts.some(({ s3 }) => s3) ? await s3ServerProgram() : undefined;
  const restic = hosts.some(({ debian }) => debian === 12) ? await pinnedRestic() : undefined;
  await sweep();
  if (await readState(name)) {
    throw failure('Conflict', `A lab ${name} is up already`, { next: `npm run lab -- down --name ${name}` });
  }
  const directory = join(cacheDirectory(), 'labs', name);
  const pipe = await supervise({
    ...{ name, directory, hosts, bases },
    ...(acme && { acme }),
    ...(restServer !== undefined && { restServer }),
    ...(s3Server !== undefined && { s3Server }),
    ...(restic && { restic }),
  });
  const lab = await attachLab(name);
  try {
    await Promise.all([...lab.hosts.map((host) => host.waitForSsh()), acme && lab.acme.waitUntilReady()]);
    await Promise.all(lab.hosts.map((host) => host.waitUntilBooted()));
    // Only now: interrupted on the way, it goes.
    if (options.stays) pipe.end(STAY);
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** The lab of this name that is up. `NotFound` when there is none. */
export async function attachLab(name: string): Promise<Lab> {
  const state = await readState(name);
  if (!state?.ready || !(await isRunning(state.supervisor))) {
    throw failure('NotFound', `No lab ${name} is up`, { next: `npm run lab -- up --name ${name}` });
  }
  const hosts = await Promise.all(state.hosts.map((host) => labHost(state, host)));
  const acme = state.acme ? await labAcme(state) : undefined;
  const keeps = state.hosts.findIndex(({ store }) => store);
  const [keeper, keeperState] = [hosts[keeps], state.hosts[keeps]];
  const store = keeper && keeperState ? labStore(state, keeperState, keeper) : undefined;
  const { restic } = state;
  return {
    name,
    hosts,
    host(wanted) {
      const found = hosts.find((host) => host.name === wanted);
      if (!found)
        throw new RangeError(
          `the lab ${name} has no host ${wanted}, only ${hosts.map((host) => host.name).join(', ')}`,
        );
      return found;
    },
    hasAcme: state.acme,
    get acme() {
      if (!acme) throw new Error(`the lab ${name} was started without a certificate authority`);
      return acme;
    },
    hasStore: store !== undefined,
    get store() {
      if (!store) throw new Error(`no host of the lab ${name} keeps backups`);
      return store;
    },
    restic:
      restic === undefined
        ? null
        : { url: `http://${bridgeAddress(state)}:${REPOSITORY_PORT}/restic/restic`, sha256: restic },
    down: () => removeByName(name, state),
  };
}

async function removeByName(name: string, lab: LabState): Promise<void> {
  const { pid, started } = lab.supervisor;
  if (await isRunning({ pid, started })) process.kill(pid, 'SIGTERM');
  const ends = poll(`the supervisor of ${name} ends`, 60_000, async () => !(await isRunning({ pid, started })));
  await ends.catch(() => process.kill(pid, 'SIGKILL'));
  // It has removed everything, unless it was killed on the way.
  await sweep();
  await rm(`${lab.directory}.log`, { force: true });
}

function complete(host: HostOrder, index: number): HostState {
  const { name, debian = 13, diskMegabytes = 4096, bare = false, store = false, s3 = false } = host;
  return { name, debian, diskMegabytes, bare, store, s3, number: 10 + index };
}

async function pinnedRestic(): Promise<{ program: string; sha256: string }> {
  const program = await resticProgram();
  return {
    program,
    sha256: createHash('sha256')
      .update(await readFile(program))
      .digest('hex'),
  };
}

/** Starts the lab's supervisor and waits until the lab is made. The pipe given is what tells it that we still live. */
async function supervise(order: LabOrder): Promise<Writable> {
  await mkdir(dirname(order.directory), { recursive: true });
  const log = await open(`${order.directory}.log`, 'w', 0o600);
  const program = [process.execPath, '--import', 'tsx', fileURLToPath(new URL('./supervisor.ts', import.meta.url))];
  const child = spawn('unshare', ['--mount', ...program, JSON.stringify(order)], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['pipe', log.fd, log.fd],
    detached: true,
  });
  await log.close();
  // The pipe stays open as long as this process lives, and must not be what keeps it alive.
  const pipe = child.stdin;
  if (!pipe) throw new Error('the supervisor has no standard input');
  child.unref();
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  let problem: unknown;
  child.once('error', (error) => (problem = error)).once('exit', (exit) => (problem = `it ended with ${exit}`));
  try {
    await poll('the lab is made', 120_000, async () => {
      if (problem !== undefined) throw problem;
      return (await readState(order.name))?.ready;
    });
    return pipe;
  } catch (error) {
    child.kill();
    throw failure('Unexpected', `The lab ${order.name} could not be made`, {
      cause: String(error),
      output: (await readFile(`${order.directory}.log`, 'utf8').catch(() => '')).slice(-2000),
    });
  }
}
