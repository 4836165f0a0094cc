import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where this machine has its cgroup v2 tree; beside v1 (hybrid) it is one level lower. */
async function trees(): Promise<{ unified: string | undefined; all: string[] }> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const unified = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  // systemd-nspawn also makes groups of the same name in systemd's own v1 tree.
  const named = mounts.find(([, , type, options]) => type === 'cgroup' && options?.includes('name=systemd'))?.[1];
  return { unified, all: [unified, named].filter((tree) => tree !== undefined) };
}

/** Whether groups can be made here. */
export async function hasUnifiedCgroups(): Promise<boolean> {
  return (await trees()).unified !== undefined;
}

/**
 * Makes a group of its own for each program of a lab, below the lab's. Two systemds in one group would take each
 * other's units for their own; and the group finds every process of a lab, whatever became of its parent.
 */
export async function makeGroup(lab: string, program: string): Promise<string> {
  const { unified } = await trees();
  if (unified === undefined) throw new Error('this machine has no cgroup v2 tree');
  const group = join(unified, `chom-${lab}`, program);
  await mkdir(group, { recursive: true });
  return group;
}

/** Kills all processes of a lab, or of one program of it, waits for their end and removes the groups. */
export async function emptyGroup(lab: string, program = ''): Promise<void> {
  for (const tree of (await trees()).all) {
    const top = join(tree, `chom-${lab}`, program);
    for (const deadline = Date.now() + 60_000; ; await sleep(10)) {
      const groups = await below(top);
      const processes = (await Promise.all(groups.map((group) => members(group)))).flat();
      // A process that has ended meanwhile is no error. 0 is one of another pid namespace: its init dies with it.
      for (const pid of processes) if (pid > 0) ignoreGone(() => process.kill(pid, 'SIGKILL'));
      if (processes.length === 0) {
        const left = await removeAll(groups);
        if (left === 0) break;
      }
      if (Date.now() > deadline) throw new Error(`processes of ${top} do not end: ${processes.join(' ')}`);
    }
  }
}

/** The group and all below it, deepest first. */
async function below(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => undefined);
  if (!entries) return [];
  const inner = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => below(join(group, entry.name))),
  );
  return [...inner.flat(), group];
}

async function members(group: string): Promise<number[]> {
  const text = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

async function removeAll(groups: readonly string[]): Promise<number> {
  let left = 0;
  for (const group of groups) await rmdir(group).catch(() => left++);
  return left;
}

function ignoreGone(kill: () => void): void {
  try {
    kill();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
