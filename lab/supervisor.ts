/**
 * The process that owns a lab: it makes it, keeps its programs running, and removes it. It runs in a mount namespace
 * of its own, so that when it is killed its mounts and loop devices go with it. `argv[2]` is a `LabOrder`.
 */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { acmeProgramsKept, makeAcme } from './pebble.js';
import type { Base, DebianRelease } from './base.js';
import { hostProgram, makeHost, REPOSITORY_PORT } from './boot.js';
import { run } from './command.js';
import { keep, type Kept } from './kept.js';
import { bridgeAddress, hideNamespaces, takeSubnet } from './network.js';
import { type LabOrder, STAY } from './order.js';
import { serveRepositories } from './repository.js';
import { type HostState, identify, type LabState, writeState } from './state.js';
import { removeLab } from './sweep.js';

const order = JSON.parse(process.argv[2] ?? '') as LabOrder;
const stop = new AbortController();
const supervisor = await identify(process.pid);
if (!supervisor) throw new Error('/proc is not there');
const state: LabState = {
  name: order.name,
  directory: order.directory,
  subnet: -1,
  supervisor,
  acme: order.acme !== undefined,
  ...(order.restic && { restic: order.restic.sha256 }),
  hosts: order.hosts,
  ready: false,
};

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
// Standard input is a pipe from the process that asked: its end is that process's end, however it came.
let stays = false;
process.stdin.on('data', (said) => (stays = String(said) === STAY));
process.stdin.on('end', () => (stays ? undefined : stop.abort()));

try {
  const kept = await make();
  const ends = kept.map((program) => keep(state, program, stop.signal));
  state.ready = true;
  await writeState(state);
  const stopped = new Promise<void>((resolve) =>
    stop.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  if (!stop.signal.aborted) await Promise.race([stopped, ...ends]);
} catch (error) {
  process.exitCode = 1;
  console.error(error);
}
stop.abort();
await removeLab(state);
// When something went wrong, whoever asked reads it.
if (!process.exitCode) await rm(`${order.directory}.log`, { force: true });
process.exit();

async function make(): Promise<Kept[]> {
  await hideNamespaces();
  await takeSubnet(async (subnet) => {
    state.subnet = subnet;
    await writeState(state);
  });
  await mkdir(order.directory, { recursive: true, mode: 0o700 });
  await run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', join(order.directory, 'key'));
  const repositories: Record<string, string> = {};
  const name = (release: DebianRelease): string => `debian-${release}`;
  for (const host of order.hosts) repositories[name(host.debian)] = baseOf(host).repository;
  if (order.restic) repositories['restic'] = dirname(order.restic.program);
  const server = await serveRepositories(repositories, bridgeAddress(state), REPOSITORY_PORT);
  server.unref();
  await Promise.all(order.hosts.map((host) => makeHost(state, host, baseOf(host), order)));
  if (order.acme) await makeAcme(state);
  return [
    ...order.hosts.map((host) => hostProgram(state, host, baseOf(host))),
    ...(order.acme ? acmeProgramsKept(state, order.acme) : []),
  ];
}

function baseOf(host: HostState): Base {
  const found = order.bases[host.name];
  if (!found) throw new Error(`no base for ${host.name}`);
  return found;
}
