import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, type Result, run } from './command.js';
import { diskPaths } from './disk.js';
import { hold, kill, logFile, processOf, release } from './kept.js';
import { address, cable } from './network.js';
import { poll } from './poll.js';
import type { HostState, LabState } from './state.js';

const BOOT_MS = 120_000;
const FILLER = '/chom-lab-filler';

/** A Debian machine of the lab. */
export interface LabHost {
  readonly name: string;
  readonly address: string;
  readonly sshPort: number;
  readonly user: 'root';
  /** File with the private key that logs in; its text is `privateKey` (OpenSSH format, ed25519). */
  readonly keyFile: string;
  readonly privateKey: string;
  /** Fingerprint `SHA256:…` of its only host key. */
  readonly hostKey: string;
  /** Runs a shell script as root on the host, through its namespaces and not over SSH. `exit` is null after a signal. */
  exec(script: string): Promise<Result>;
  /** `systemctl reboot`, once the last boot is complete; returns when SSH answers again. */
  reboot(): Promise<void>;
  /** SIGKILLs everything at once, boots and waits for SSH. What was written stays, also when it was not synced. */
  crash(): Promise<void>;
  /** The same, but what was not synced is lost. */
  powerCut(): Promise<void>;
  /** Powers off, as by the switch, until `powerOn`. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
  /** Pulls the network cable out, and puts it back. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Fills the disk to the last byte, and frees it again. */
  fill(): Promise<void>;
  unfill(): Promise<void>;
  /** Waits until a login over SSH works; some services may still be starting. */
  waitForSsh(): Promise<void>;
  /** Waits until every service has started. */
  waitUntilBooted(): Promise<void>;
  /** Arguments for `ssh` that log in to it. */
  readonly sshArguments: readonly string[];
}

/** The host of a lab that is up. */
export async function labHost(lab: LabState, host: HostState): Promise<LabHost> {
  const directory = join(lab.directory, 'hosts', host.name);
  const keyFile = join(lab.directory, 'key');
  const printed = await run('ssh-keygen', '-l', '-E', 'sha256', '-f', join(directory, 'known_hosts'));
  const hostKey = printed.split(' ')[1] ?? '';
  const place = address(lab, host.number);
  const sshArguments = ['-F', join(directory, 'ssh_config'), host.name];

  async function exec(script: string): Promise<Result> {
    const leader = await poll(`${host.name} runs`, BOOT_MS, () => leaderOf(lab, host));
    const enter = ['-t', leader, '-m', '-u', '-i', '-n', '-p', '-C', '--root', '--'];
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    return attempt('nsenter', [...enter, 'env', '-i', '-C', '/', path, 'HOME=/root', 'LC_ALL=C', 'sh', '-c', script]);
  }

  async function mustExec(script: string): Promise<void> {
    const { exit, stderr } = await exec(script);
    if (exit !== 0) throw new Error(`on ${host.name}: ${script}: ${stderr.trim() || `exit status ${exit}`}`);
  }

  async function waitForSsh(): Promise<void> {
    let last = '';
    // By a login, because sshd counts connections that do not log in against the address they come from.
    const login = async (): Promise<boolean> => {
      const { exit, stderr } = await attempt('ssh', [...sshArguments, 'true']);
      last = stderr.trim();
      return exit === 0;
    };
    await poll(`${host.name} lets us log in`, BOOT_MS, login).catch(async (error: unknown) => {
      const log = await readFile(logFile(lab, host.name), 'utf8').catch(() => '');
      throw new Error(`${String(error)}: ${last}\n${log.split('\n').slice(-15).join('\n')}`);
    });
  }

  async function waitUntilBooted(): Promise<void> {
    await poll(`${host.name} has started its services`, BOOT_MS, async () => {
      const { stdout } = await exec('systemctl is-system-running --wait');
      return ['running', 'degraded'].includes(stdout.trim());
    });
  }

  /** Waits until another process than `before` is the host, and it answers. */
  async function bootedAfter(before: number | undefined): Promise<void> {
    await poll(`${host.name} has booted`, BOOT_MS, async () => {
      const now = await processOf(lab, host.name);
      return now && now.pid !== before;
    });
    await waitForSsh();
  }

  const pid = async (): Promise<number | undefined> => (await processOf(lab, host.name))?.pid;

  return {
    name: host.name,
    address: place,
    sshPort: 22,
    user: 'root',
    keyFile,
    privateKey: await readFile(keyFile, 'utf8'),
    hostKey,
    sshArguments,
    exec,
    waitForSsh,
    waitUntilBooted,
    async reboot() {
      // MariaDB loses a SIGTERM that comes while it starts, and then systemd waits 90 s for it.
      await waitUntilBooted();
      const before = await pid();
      // It may end before it has answered.
      await exec('systemctl --no-block reboot');
      await bootedAfter(before);
    },
    async crash() {
      const before = await pid();
      await kill(lab, host.name);
      await bootedAfter(before);
    },
    async powerCut() {
      const { disk } = diskPaths(lab.directory, host.name);
      const before = await poll(`${host.name} runs`, BOOT_MS, pid);
      // From here on nothing more is written to it.
      await run('nsenter', '-t', String(before), '-m', 'xfs_io', '-x', '-c', 'shutdown', disk);
      await kill(lab, host.name);
      await bootedAfter(before);
    },
    async powerOff() {
      await hold(lab, host.name);
    },
    async powerOn() {
      await release(lab, host.name);
      await bootedAfter(undefined);
    },
    async cut() {
      await run('ip', 'link', 'set', cable(lab, host), 'down');
    },
    async mend() {
      await run('ip', 'link', 'set', cable(lab, host), 'up');
    },
    async fill() {
      // Blocks at once, then what is left of them byte by byte; the last dd ends for lack of space.
      const free = `free=$(($(stat -f -c '%a*%S' /) - 4194304))`;
      const blocks = `${free}; [ $free -le 0 ] || fallocate -l $free ${FILLER}`;
      await mustExec(
        `${blocks}; dd if=/dev/zero bs=4k of=${FILLER} oflag=append conv=notrunc 2>&1 | grep -q 'No space'`,
      );
    },
    async unfill() {
      await mustExec(`rm -f ${FILLER}`);
    },
  };
}

/** The host's PID 1 as this machine sees it: the only child of systemd-nspawn. */
async function leaderOf(lab: LabState, host: HostState): Promise<string | undefined> {
  const nspawn = await processOf(lab, host.name);
  if (!nspawn) return undefined;
  const children = await readFile(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`, 'utf8').catch(() => '');
  const [leader] = children.trim().split(' ');
  if (!leader) return undefined;
  // Before it is systemd it is still setting up the namespaces, which must not be entered then.
  const name = await readFile(`/proc/${leader}/comm`, 'utf8').catch(() => '');
  return name.trim() === 'systemd' ? leader : undefined;
}
