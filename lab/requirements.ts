import { failure } from '../src/workflows/failures.js';
import { hasUnifiedCgroups } from './cgroup.js';
import { attempt } from './command.js';
import { installPackages } from './packages.js';

const COMMANDS = {
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  ip: 'iproute2',
  xfs_io: 'xfsprogs',
  'mkfs.ext4': 'e2fsprogs',
  mount: 'mount',
  losetup: 'mount',
  setpriv: 'util-linux',
  nsenter: 'util-linux',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  'apt-config': 'apt',
  'dpkg-deb': 'dpkg',
};

/**
 * Makes sure that a lab can run here, and installs the programs it needs. `Forbidden` with everything that is missing
 * when it cannot.
 */
export async function requireLab(): Promise<void> {
  const missing = await lacking();
  if (missing.length > 0) {
    throw failure('Forbidden', `The lab cannot run here: ${missing.join('; ')}`, {
      cause: 'its hosts are real Debian systems in namespaces of one Linux machine',
      next:
        'run it as root on a Linux machine or in a virtual one; all tests outside test/lab run without it, ' +
        'and so does `chom dev` with servers of your own',
    });
  }
  await installPackages(COMMANDS);
}

/** What this machine lacks that cannot be installed. */
async function lacking(): Promise<string[]> {
  if (process.platform !== 'linux') return [`this is ${process.platform}, not Linux`];
  if (process.getuid?.() !== 0) return ['this user is not root'];
  const missing: string[] = [];
  if (!(await succeeds('unshare', '--net', 'true'))) missing.push('no network namespaces can be made');
  if (!(await succeeds('unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt')))
    missing.push('nothing can be mounted');
  if (!(await hasUnifiedCgroups())) missing.push('there is no cgroup v2 tree');
  return missing;
}

async function succeeds(program: string, ...arguments_: string[]): Promise<boolean> {
  const result = await attempt(program, arguments_).catch(() => undefined);
  return result?.exit === 0;
}
