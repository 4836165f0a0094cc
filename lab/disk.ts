import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, run } from './command.js';

/** Where a host's file system is, below the lab's directory. */
export function diskPaths(lab: string, host: string): { image: string; disk: string; root: string } {
  const directory = join(lab, 'hosts', host);
  return { image: join(directory, 'disk.img'), disk: join(directory, 'disk'), root: join(directory, 'root') };
}

/** Makes a host's disk: an ext4 image, so that it can be full and its power can be cut. It takes space as it fills. */
export async function makeDisk(lab: string, host: string, megabytes: number): Promise<void> {
  const { image, disk, root } = diskPaths(lab, host);
  await mkdir(disk, { recursive: true });
  await mkdir(root);
  await writeFile(image, '');
  await truncate(image, megabytes * 1024 * 1024);
  // No reserve for root, so that full is full.
  await run('mkfs.ext4', '-q', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1', image);
}

/**
 * Mounts the disk, and over the base the host's own layer that lies on it. What was mounted before a crash or a power
 * cut is unmounted first, never lazily: the image must not be mounted twice.
 */
export async function mountRoot(lab: string, host: string, base: string): Promise<string> {
  const { image, disk, root } = diskPaths(lab, host);
  await unmountRoot(lab, host);
  await run('mount', '-o', 'loop', image, disk);
  const [upper, work] = [join(disk, 'upper'), join(disk, 'work')];
  await mkdir(upper, { recursive: true });
  await mkdir(work, { recursive: true });
  await run('mount', '-t', 'overlay', '-o', `lowerdir=${base},upperdir=${upper},workdir=${work}`, 'overlay', root);
  return root;
}

export async function unmountRoot(lab: string, host: string): Promise<void> {
  const { disk, root } = diskPaths(lab, host);
  for (const path of [root, disk]) {
    if ((await attempt('mountpoint', ['-q', path])).exit === 0) await run('umount', path);
  }
}
