import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { emptyGroup, makeGroup } from './cgroup.js';
import { poll } from './poll.js';
import { isRunning, type ProcessIdentity, identify, type LabState } from './state.js';

/** A program that the supervisor starts again whenever it ends. */
export interface Kept {
  name: string;
  /** Called before each start; gives the program and its arguments. */
  command(): Promise<string[]>;
  environment?: Readonly<Record<string, string>>;
  /** Exit status after which it stays off: a host that was told to power off. */
  staysOffAfter?: number;
}

type Lab = Pick<LabState, 'name' | 'directory'>;

const holdFile = (lab: Lab, name: string): string => join(lab.directory, 'run', `${name}.hold`);
const processFile = (lab: Lab, name: string): string => join(lab.directory, 'run', `${name}.json`);
export const logFile = (lab: Lab, name: string): string => join(lab.directory, 'run', `${name}.log`);

/**
 * Keeps a program running until `stop` aborts. Files tell other processes about it and let them act on it: `hold`
 * keeps it off, killing it starts it anew. Rejects when it cannot be prepared.
 */
export async function keep(lab: Lab, kept: Kept, stop: AbortSignal): Promise<void> {
  await mkdir(join(lab.directory, 'run'), { recursive: true });
  while (!stop.aborted) {
    if (await exists(holdFile(lab, kept.name))) {
      await sleep(50);
      continue;
    }
    const begun = Date.now();
    const exit = await runOnce(lab, kept);
    await emptyGroup(lab.name, kept.name);
    await rm(processFile(lab, kept.name), { force: true });
    if (exit === kept.staysOffAfter && exit !== undefined) await writeFile(holdFile(lab, kept.name), '');
    // One that cannot start must not keep the machine busy.
    if (Date.now() - begun < 500) await sleep(500);
  }
}

async function runOnce(lab: Lab, kept: Kept): Promise<number | null> {
  const command = await kept.command();
  const group = await makeGroup(lab.name, kept.name);
  const log = openSync(logFile(lab, kept.name), 'a', 0o600);
  // The shell enters the group before the program starts; setpriv ends the program when the supervisor is killed.
  const enter = 'echo $$ >"$1/cgroup.procs" && shift && exec setpriv --pdeathsig KILL "$@"';
  const child = spawn('sh', ['-c', enter, 'sh', group, ...command], {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...kept.environment },
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('exit', resolve);
  });
  const identity = child.pid === undefined ? undefined : await identify(child.pid);
  if (identity) await writeFile(processFile(lab, kept.name), JSON.stringify(identity));
  return ended;
}

/** The running process of a kept program; undefined while it is off or starting. */
export async function processOf(lab: Lab, name: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(processFile(lab, name), 'utf8').catch(() => '');
  if (text === '') return undefined;
  const identity = JSON.parse(text) as ProcessIdentity;
  return (await isRunning(identity)) ? identity : undefined;
}

/** Kills the program and keeps it off until `release`. Returns when nothing of it runs. */
export async function hold(lab: Lab, name: string): Promise<void> {
  await writeFile(holdFile(lab, name), '');
  await kill(lab, name);
  await poll(`${name} is off`, 90_000, async () => !(await exists(processFile(lab, name))));
}

/** Lets a held program start again. */
export async function release(lab: Lab, name: string): Promise<void> {
  await rm(holdFile(lab, name), { force: true });
}

/** SIGKILLs the program, which is then started again. */
export async function kill(lab: Lab, name: string): Promise<void> {
  const running = await processOf(lab, name);
  if (!running) return;
  try {
    process.kill(running.pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
