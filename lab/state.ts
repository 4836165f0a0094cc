import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DebianRelease } from './base.js';

/** A host as it was asked for, with defaults filled in. */
export interface HostState {
  name: string;
  debian: DebianRelease;
  bare: boolean;
  /** It keeps backups. */
  store: boolean;
  /** And by S3. */
  s3: boolean;
  diskMegabytes: number;
  /** Last number of its address. */
  number: number;
}

/** A process, safe against a number that was given again: `started` is its start time in clock ticks since boot. */
export interface ProcessIdentity {
  pid: number;
  started: string;
}

/** What is known about a lab. It is enough to remove the lab when nothing of it runs any more. */
export interface LabState {
  name: string;
  /** Everything on disk. */
  directory: string;
  /** The lab's network is the n-th /24 of 198.18.0.0/15. */
  subnet: number;
  supervisor: ProcessIdentity;
  acme: boolean;
  /** SHA-256 of the restic that the lab serves; undefined where no host needs it. */
  restic?: string;
  hosts: HostState[];
  ready: boolean;
}

/** One place for the machine, whatever the user's cache directory is, and empty after a boot. */
export const REGISTRY = '/run/chom-lab';

export async function readState(name: string): Promise<LabState | undefined> {
  const text = await readFile(join(REGISTRY, `${name}.json`), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as LabState);
}

/** All labs of this machine, also dead ones. */
export async function allStates(): Promise<LabState[]> {
  const names = (await readdir(REGISTRY).catch(() => [])).filter((name) => name.endsWith('.json'));
  const states = await Promise.all(names.map((name) => readState(name.slice(0, -'.json'.length))));
  return states.filter((state) => state !== undefined);
}

export async function writeState(state: LabState): Promise<void> {
  await mkdir(REGISTRY, { recursive: true });
  const file = join(REGISTRY, `${state.name}.json`);
  const partial = `${file}.${process.pid}`;
  await writeFile(partial, `${JSON.stringify(state)}\n`);
  await rename(partial, file);
}

export async function removeState(name: string): Promise<void> {
  await rm(join(REGISTRY, `${name}.json`), { force: true });
}

/** The identity of a running process; undefined when there is none with this number. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the program's name in brackets and may hold anything; state and start time are 3 and 22.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const started = fields?.[19];
  return started === undefined || fields?.[0] === 'Z' ? undefined : { pid, started };
}

/** Whether that very process still runs. */
export async function isRunning({ pid, started }: ProcessIdentity): Promise<boolean> {
  return (await identify(pid))?.started === started;
}
