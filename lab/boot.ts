import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Base } from './base.js';
import { run } from './command.js';
import { diskPaths, makeDisk, onDisk } from './disk.js';
import type { Kept } from './kept.js';
import { address, bridgeAddress, connectHost, namespace } from './network.js';
import type { LabOrder } from './order.js';
import { s3Files } from './s3.js';
import type { HostState, LabState } from './state.js';
import { storeFiles } from './store.js';

/** Port on the bridge of the repository that hosts get packages from. */
export const REPOSITORY_PORT = 8080;

/** `systemctl reboot` inside ends systemd-nspawn with 133 and `poweroff` with 0; after anything else it crashed. */
const POWERED_OFF = 0;

/** What distributions do once a day. */
const DAILY = ['apt-daily', 'apt-daily-upgrade', 'dpkg-db-backup', 'e2scrub_all', 'fstrim', 'logrotate'];
/** A host lives for minutes: at the wrong one of the day they would lock dpkg, or rotate what a test reads. */
const YEARLY = '[Timer]\nOnCalendar=\nOnCalendar=yearly\nRandomizedDelaySec=0\n';

/** Makes a host's cable, disk, keys and settings. */
export async function makeHost(
  lab: LabState,
  host: HostState,
  base: Base,
  { restServer, s3Server }: Pick<LabOrder, 'restServer' | 's3Server'> = {},
): Promise<void> {
  await connectHost(lab, host);
  await makeDisk(lab.directory, host.name, host.diskMegabytes);
  const directory = join(lab.directory, 'hosts', host.name);
  const files = join(directory, 'files');
  const write = async (path: string, text: string | Buffer, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(files, path)), { recursive: true });
    await writeFile(join(files, path), text, { mode });
  };
  await write('etc/hostname', `${host.name}\n`);
  await write('etc/hosts', `127.0.0.1 localhost\n127.0.1.1 ${host.name}\n::1 localhost\n`);
  // With an empty one the first boot would ask questions.
  await write('etc/machine-id', `${randomUUID().replaceAll('-', '')}\n`, 0o444);
  await write('etc/resolv.conf', `nameserver ${bridgeAddress(lab)}\noptions timeout:1 attempts:1\n`);
  const repository = `http://${bridgeAddress(lab)}:${REPOSITORY_PORT}/debian-${host.debian}/`;
  await write('etc/apt/sources.list', `deb [trusted=yes] ${repository} ./\n`);
  for (const timer of DAILY) await write(`etc/systemd/system/${timer}.timer.d/lab.conf`, YEARLY);
  await mkdir(join(files, 'root/.ssh'), { recursive: true, mode: 0o700 });
  await write('root/.ssh/authorized_keys', await readFile(join(lab.directory, 'key.pub'), 'utf8'), 0o600);
  await mkdir(join(files, 'etc/ssh'));
  const hostKey = join(files, 'etc/ssh/ssh_host_ed25519_key');
  await run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', host.name, '-f', hostKey);
  if (host.store && restServer !== undefined) {
    const store = await storeFiles(lab, host, restServer);
    for (const [path, content, mode] of store.files) await write(path, content, mode);
    const s3 = host.s3 && s3Server !== undefined ? await s3Files(s3Server) : [];
    for (const [path, content, mode] of s3) await write(path, content, mode);
    await writeFile(store.caFile, store.ca);
  }
  const known = `${address(lab, host.number)} ${await readFile(`${hostKey}.pub`, 'utf8')}`;
  await writeFile(join(directory, 'known_hosts'), known);
  await writeFile(join(directory, 'ssh_config'), sshConfig(lab, host, directory));
  // Not through links of the base, and with the modes of directories that are there.
  const copy = ['cp', '--recursive', '--preserve=mode', '--remove-destination', '--no-target-directory', files];
  const [program = '', ...rest] = await onDisk(lab.directory, host.name, base.root, [
    ...copy,
    diskPaths(lab.directory, host.name).root,
  ]);
  await run(program, ...rest);
  await rm(files, { recursive: true });
}

function sshConfig(lab: LabState, host: HostState, directory: string): string {
  return `Host ${host.name}
  HostName ${address(lab, host.number)}
  User root
  IdentityFile ${join(lab.directory, 'key')}
  IdentitiesOnly yes
  UserKnownHostsFile ${join(directory, 'known_hosts')}
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
  LogLevel ERROR
`;
}

/** The host's systemd, in its own namespaces. */
export function hostProgram(lab: LabState, host: HostState, base: Base): Kept {
  const { root } = diskPaths(lab.directory, host.name);
  return {
    name: host.name,
    staysOffAfter: POWERED_OFF,
    // systemd 257 does not boot on the cgroup layout that older systemds mount unless it is given a pure v2 one.
    environment: { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    command: () =>
      onDisk(lab.directory, host.name, base.root, [
        'systemd-nspawn',
        '--quiet',
        '--boot',
        `--directory=${root}`,
        `--hostname=${host.name}`,
        `--network-namespace-path=/run/netns/${namespace(lab, host)}`,
        // Over its own network, as a server has it: for firewalls.
        '--capability=CAP_NET_ADMIN',
        '--resolv-conf=off',
        '--timezone=off',
        '--register=no',
        '--keep-unit',
        '--console=pipe',
      ]),
  };
}
