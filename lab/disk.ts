import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.js';
import { poll } from './poll.js';

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

const MOUNT = `set -e
mount -o loop "$1" "$2"
mkdir -p "$2/upper" "$2/work"
mount -t overlay -o "xino=on,lowerdir=$3,upperdir=$2/upper,workdir=$2/work" overlay "$4"
shift 4
exec "$@"`;

/**
 * The command that runs `command` where the disk is mounted, and over the base the host's own layer that lies on it.
 * The mounts are in a namespace of the command's own and go when it ends. They must be in no other: systemd-nspawn
 * hides what was mounted when it started below the host's root, and so holds it as long as that host runs.
 */
export async function onDisk(lab: string, host: string, base: string, command: readonly string[]): Promise<string[]> {
  const { image, disk, root } = diskPaths(lab, host);
  // The kernel drops the namespaces of dead processes a little later. Until then a mount would give the old file
  // system again, and after a power cut that one is dead.
  await poll(`${image} is free`, 60_000, async () => (await run('losetup', '--associated', image)) === '');
  return ['unshare', '--mount', 'sh', '-c', MOUNT, 'sh', image, disk, base, root, ...command];
}
