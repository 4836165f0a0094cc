import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Base } from './base.js';
import { run } from './command.js';
import { makeDisk, mountRoot } from './disk.js';
import type { Kept } from './kept.js';
import { address, bridgeAddress, connectHost, namespace } from './network.js';
import type { HostState, LabState } from './state.js';

/** Port on the bridge of the repository that hosts get packages from. */
export const REPOSITORY_PORT = 8080;

/** `systemctl reboot` inside ends systemd-nspawn with 133 and `poweroff` with 0; after anything else it crashed. */
const POWERED_OFF = 0;

/** Makes a host's cable, disk, keys and settings. */
export async function makeHost(lab: LabState, host: HostState, base: Base): Promise<void> {
  await connectHost(lab, host);
  await makeDisk(lab.directory, host.name, host.diskMegabytes);
  const root = await mountRoot(lab.directory, host.name, base.root);
  await writeFile(join(root, 'etc/hostname'), `${host.name}\n`);
  await writeFile(join(root, 'etc/hosts'), `127.0.0.1 localhost\n127.0.1.1 ${host.name}\n::1 localhost\n`);
  // With an empty one the first boot would ask questions.
  await writeFile(join(root, 'etc/machine-id'), `${randomUUID().replaceAll('-', '')}\n`);
  // Links of the base, if any, must not be followed to this machine's own files.
  await run('rm', '-f', join(root, 'etc/resolv.conf'));
  await writeFile(join(root, 'etc/resolv.conf'), `nameserver ${bridgeAddress(lab)}\noptions timeout:1 attempts:1\n`);
  const repository = `http://${bridgeAddress(lab)}:${REPOSITORY_PORT}/debian-${host.debian}/`;
  await writeFile(join(root, 'etc/apt/sources.list'), `deb [trusted=yes] ${repository} ./\n`);
  await run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', host.name, '-f', join(root, 'etc/ssh/ssh_host_ed25519_key'));
  await mkdir(join(root, 'root/.ssh'), { recursive: true, mode: 0o700 });
  await copyFile(join(lab.directory, 'key.pub'), join(root, 'root/.ssh/authorized_keys'));
  await chmod(join(root, 'root/.ssh/authorized_keys'), 0o600);
  const hostKey = await readFile(join(root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
  await writeFile(join(lab.directory, 'hosts', host.name, 'known_hosts'), `${address(lab, host.number)} ${hostKey}`);
}

/** The host's systemd, in its own namespaces. */
export function hostProgram(lab: LabState, host: HostState, base: Base): Kept {
  return {
    name: host.name,
    staysOffAfter: POWERED_OFF,
    // systemd 257 does not boot on the cgroup layout that older systemds mount unless it is given a pure v2 one.
    environment: { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    async command() {
      const root = await mountRoot(lab.directory, host.name, base.root);
      return [
        ...['systemd-nspawn', '--quiet', '--boot', `--directory=${root}`, `--hostname=${host.name}`],
        ...[`--network-namespace-path=/run/netns/${namespace(lab, host)}`, '--resolv-conf=off', '--timezone=off'],
        ...['--register=no', '--keep-unit', '--console=pipe'],
      ];
    },
  };
}
