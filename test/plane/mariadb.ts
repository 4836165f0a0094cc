import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A MariaDB server of the tests' own, on a unix socket in a temporary directory. */
export interface MariadbServer {
  /** `mysql://…` of a database there. */
  url(database: string): string;
  query(statement: string): Promise<string>;
  stop(): Promise<void>;
}

/** Starts Debian's MariaDB, installing it first where it is missing. It ends with `stop`, and when this process dies. */
export async function startMariadb(): Promise<MariadbServer> {
  await installed();
  const directory = await mkdtemp(join(tmpdir(), 'chom-mariadb-'));
  const socket = join(directory, 'socket');
  const user = await databaseUser();
  // The server refuses to run as root.
  const asUser = user ? ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'] : [];
  if (user) await chown(directory, user.uid, user.gid);
  const data = [`--datadir=${join(directory, 'data')}`];
  const prepare = ['mariadb-install-db', '--no-defaults', ...data, '--auth-root-authentication-method=normal'];
  await run('setpriv', [...asUser, ...prepare, '--skip-test-db', '--skip-name-resolve'], { cwd: directory });
  const small = ['--innodb-buffer-pool-size=16M', '--innodb-flush-log-at-trx-commit=0'];
  const words = ['mariadbd', '--no-defaults', ...data, `--socket=${socket}`, '--skip-networking', ...small];
  const server = spawn('setpriv', [...asUser, '--pdeathsig', 'TERM', ...words, '--event-scheduler=on'], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4000)));
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
    await rm(directory, { recursive: true, force: true });
  };
  const query = async (statement: string) => {
    const client = [
      '--no-defaults',
      `--socket=${socket}`,
      '--user=root',
      '--default-character-set=utf8mb4',
      '--batch',
      '--skip-column-names',
    ];
    return (await run('mariadb', [...client, `--execute=${statement}`])).stdout;
  };
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      await query('select 1');
      break;
    } catch (error) {
      if (Date.now() < deadline && server.exitCode === null) await sleep(50);
      else {
        await stop();
        throw new Error(`MariaDB does not answer: ${log}`, { cause: error });
      }
    }
  }
  return { url: (database) => `mysql://chom@localhost/${database}?socket=${encodeURIComponent(socket)}`, query, stop };
}

async function installed(): Promise<void> {
  const there = await access('/usr/sbin/mariadbd').then(
    () => true,
    () => false,
  );
  if (there) return;
  if (process.getuid?.() !== 0) throw new Error('MariaDB is missing: apt-get install mariadb-server');
  // The package must not start a server of the machine's own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const options = ['-y', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  await run('apt-get', [...options, 'update'], { env });
  await run('apt-get', [...options, '--no-install-recommends', 'install', 'mariadb-server'], { env });
}

/** Whom the server runs as; null where we are not root and it simply runs as us. */
async function databaseUser(): Promise<{ uid: number; gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith('mysql:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error('There is no user mysql');
  return { uid: Number(uid), gid: Number(gid) };
}
