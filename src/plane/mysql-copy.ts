import { randomBytes } from 'node:crypto';
import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import { programOnPath, runProgram } from './dump-program.js';
import type { Table } from './manifest.js';
import type { SourceDatabase } from './source-database.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** So often it is tried to find the tables after the dump as they were before it. */
const TRIES = 3;

/**
 * A MySQL or MariaDB database, by its own programs. Its dump's snapshot cannot be shared with another connection: checksums are
 * made before and after it, and where they differ it is made again.
 */
export function mysqlDatabase(url: URL, password: string | undefined, environment: Environment): SourceDatabase {
  const name = decodeURIComponent(url.pathname.slice(1));
  return {
    kind: 'mysql',
    async copy(directory) {
      const access = await accessOf(url, password, environment, directory);
      const version = (await access.query('select version()')).trim();
      const dump = await program(['mariadb-dump', 'mysqldump'], environment);
      for (let n = 1; n <= TRIES; n += 1) {
        const [to, programs] = [join(directory, `dump-${n}`), join(directory, `dump-programs-${n}`)];
        const tables = await tablesOf(access, name);
        const shape = [access.defaults, '--single-transaction', '--quick', '--default-character-set=utf8mb4'];
        const rows = [...shape, '--hex-blob', '--skip-triggers', '--', name];
        await runProgram(dump, { words: rows, environment, to });
        // Apart: tried out on the same server they would begin to run, or, named with their database, meet the live one.
        const alone = [...shape, '--no-create-info', '--no-data', '--routines', '--triggers', '--events', '--', name];
        await runProgram(dump, { words: alone, environment, to: programs });
        for (const file of [to, programs]) await refuseUnfinished(file);
        if (JSON.stringify(await tablesOf(access, name)) !== JSON.stringify(tables)) {
          await rm(to);
          continue;
        }
        return { files: new Map([['database', to] as const, ['programs', programs] as const]), tables, version };
      }
      throw failure(
        'Conflict',
        `Database ${name} changes all the time: ${TRIES} dumps differed from what it held then`,
        {
          cause: 'something writes to it without a pause',
          next: 'stop what writes to it, and run the command again',
        },
      );
    },
    async tryOut(directory) {
      const access = await accessOf(url, password, environment, directory);
      const scratch = `chom_test_${randomBytes(6).toString('hex')}`;
      await access.query(`create database ${scratch}`);
      try {
        await access.run({ from: join(directory, 'database'), words: [scratch] });
        return await tablesOf(access, scratch);
      } finally {
        await access.query(`drop database ${scratch}`);
      }
    },
  };
}

interface Access {
  /** The option that names the file with address and password. */
  defaults: string;
  query(statement: string): Promise<string>;
  run(run: { from: string; words: readonly string[] }): Promise<string>;
}

/** Address and password in a file of their own, so that no command line shows them. */
async function accessOf(
  { username, hostname, port, searchParams }: URL,
  password: string | undefined,
  environment: Environment,
  directory: string,
): Promise<Access> {
  const client = await program(['mariadb', 'mysql'], environment);
  const socket = searchParams.get('socket');
  const settings = {
    ...(username !== '' && { user: decodeURIComponent(username) }),
    ...(password !== undefined && { password }),
    ...(socket === null ? { host: hostname, port: port || '3306' } : { socket }),
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}="${value.replaceAll(/["\\]/g, '\\$&')}"`);
  const file = join(directory, `client-${randomBytes(4).toString('hex')}.cnf`);
  await writeFile(file, `[client]\n${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' });
  const defaults = `--defaults-extra-file=${file}`;
  const plain = [defaults, '--batch', '--skip-column-names', '--default-character-set=utf8mb4'];
  return {
    defaults,
    query: async (statement) => await runProgram(client, { words: [...plain, `--execute=${statement}`], environment }),
    run: async ({ from, words }) => await runProgram(client, { words: [...plain, ...words], environment, from }),
  };
}

async function tablesOf(access: Access, database: string): Promise<Table[]> {
  const listed = `select table_name from information_schema.tables
    where table_schema = '${database.replaceAll(/['\\]/g, '\\$&')}' and table_type = 'BASE TABLE' order by table_name`;
  const names = (await access.query(listed)).split('\n').filter(Boolean);
  const tables: Table[] = [];
  for (const name of names) {
    const quoted = `${identifier(database)}.${identifier(name)}`;
    const said = await access.query(`select count(*) from ${quoted}; checksum table ${quoted} extended`);
    const [rows = '', checksum = ''] = said.split('\n');
    tables.push({ name, rows: Number(rows), digest: checksum.split('\t').at(-1) ?? '' });
  }
  return tables;
}

/** The last line of a dump that came to its end (`--comments`, the default). */
async function refuseUnfinished(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, 200));
    await handle.read(tail, 0, tail.length, size - tail.length);
    if (/^-- Dump completed/m.test(tail.toString())) return;
  } finally {
    await handle.close();
  }
  throw failure('DumpRejected', 'The dump of the database does not end as a whole one does');
}

async function program(names: readonly string[], environment: Environment): Promise<string> {
  const found = await programOnPath(names, environment);
  if (found !== null) return found;
  throw failure('NotFound', `There is neither ${names.join(' nor ')} on PATH`, {
    cause: 'MySQL and MariaDB are backed up by their own programs',
    next: 'apt install mariadb-client',
  });
}

function identifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
