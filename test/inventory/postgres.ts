import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';

const run = promisify(execFile);
const VERSIONS = '/usr/lib/postgresql';

/** A PostgreSQL server of the tests' own, on a unix socket in a temporary directory. */
export interface PostgresServer {
  /** URL of the database `postgres`, of its superuser `chom`. */
  url: string;
  /** URL of a new, empty schema: a database of its own for those who use it, at a tenth of the cost. */
  createSchema(): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts Debian's PostgreSQL, installing it first where it is missing. It ends with `stop`, and also when the process
 * that started it dies. `port`: of loopback, which it listens on too, for those who have a password.
 */
export async function startPostgres(port?: number): Promise<PostgresServer> {
  const programs = await installed();
  const directory = await mkdtemp(join(tmpdir(), 'chom-postgres-'));
  const user = await databaseUser();
  // The server refuses to run as root.
  const asUser = user ? ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'] : [];
  if (user) await chown(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const auth = ['--auth-local=trust', '--auth-host=scram-sha-256'];
  const initialise = ['-D', data, '-U', 'chom', ...auth, '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run('setpriv', [...asUser, join(programs, 'initdb'), ...initialise], { cwd: directory });
  const listening = port === undefined ? ['listen_addresses='] : ['listen_addresses=127.0.0.1', `port=${port}`];
  const settings = [...listening, `unix_socket_directories=${directory}`, 'fsync=off', 'max_connections=200'];
  const server = spawn(
    'setpriv',
    [
      ...asUser,
      '--pdeathsig',
      'INT',
      join(programs, 'postgres'),
      '-D',
      data,
      ...settings.flatMap((set) => ['-c', set]),
    ],
    { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4000)));
  const url = `postgresql://chom@localhost:${port ?? 5432}/postgres?host=${encodeURIComponent(directory)}`;
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGINT'); // fast shutdown: ends the connections that are left
      await once(server, 'exit');
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answering(url, () => {
      if (server.exitCode !== null) throw new Error(`PostgreSQL ended: ${log}`);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, createSchema: async () => await createSchema(url), stop };
}

/** What `createSchema` does, for the server of another process. */
export async function createSchema(url: string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(url, `create schema ${name}`);
  return `${url}&options=${encodeURIComponent(`-c search_path=${name}`)}`;
}

/** One statement on a connection of its own. */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** Directory of the programs of the newest version there is. */
async function installed(): Promise<string> {
  const newest = async () => {
    const versions = await readdir(VERSIONS).catch(() => []);
    return versions.toSorted((a, b) => Number(b) - Number(a))[0];
  };
  let version = await newest();
  if (version === undefined) {
    await install();
    version = await newest();
  }
  if (version === undefined) throw new Error(`The package postgresql left no programs in ${VERSIONS}`);
  return join(VERSIONS, version, 'bin');
}

async function install(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('PostgreSQL is missing: apt-get install postgresql');
  // The package must not start a server of the machine's own.
  await mkdir('/etc/postgresql-common', { recursive: true });
  await writeFile('/etc/postgresql-common/createcluster.conf', 'create_main_cluster = false\n', { flag: 'wx' }).catch(
    () => undefined,
  );
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-y', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  await run('apt-get', [...options, 'update'], { env });
  await run('apt-get', [...options, '--no-install-recommends', 'install', 'postgresql'], { env });
}

/** Whom the server runs as; null where we are not root and it simply runs as us. */
async function databaseUser(): Promise<{ uid: number; gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith('postgres:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error('There is no user postgres');
  return { uid: Number(uid), gid: Number(gid) };
}

async function answering(url: string, check: () => void): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    check();
    try {
      await query(url, 'select 1');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
