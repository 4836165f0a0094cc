import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, lock } from '../src/client/programs/cache.js';
import { emptyGroup } from './cgroup.js';
import { attempt } from './command.js';
import { removeNetwork } from './network.js';
import { allStates, isRunning, type LabState, REGISTRY, removeState } from './state.js';

/** Removes everything that a lab is made of; what is not there is passed over. Its supervisor must not run any more. */
export async function removeLab(lab: LabState): Promise<void> {
  await emptyGroup(lab.name);
  await removeNetwork(lab, lab.hosts);
  const loops = await attempt('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']);
  for (const line of loops.stdout.split('\n')) {
    const [device = '', file = ''] = line.trim().split(/\s+/);
    if (file.startsWith(`${lab.directory}/`)) await attempt('losetup', ['--detach', device]);
  }
  await rm(lab.directory, { recursive: true, force: true });
  await removeState(lab.name);
}

/** Removes the labs whose supervisor is gone: it, or the process it watched, was killed. One sweep at a time. */
export async function sweep(): Promise<void> {
  await mkdir(REGISTRY, { recursive: true });
  const unlock = await lock(join(REGISTRY, 'sweep.lock'));
  try {
    const labs = join(cacheDirectory(), 'labs');
    const directories = (await readdir(labs).catch(() => [])).map((name) => join(labs, name));
    for (const state of await allStates()) if (!(await isRunning(state.supervisor))) await removeLab(state);
    // The registry is empty after a boot of this machine, and of a lab of before nothing but files is left.
    const known = new Set((await allStates()).map((state) => state.directory));
    for (const path of directories) if (!known.has(path)) await rm(path, { recursive: true, force: true });
  } finally {
    await unlock();
  }
}
