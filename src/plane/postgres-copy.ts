import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { postgresDirectories, programOnPath, runProgram } from './dump-program.js';
import type { Table } from './manifest.js';
import type { SourceDatabase } from './source-database.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The tables of a PostgreSQL database's current schema, by pg_dump: of the snapshot of one transaction, in which the tables'
 * digests are made as well, however much is written meanwhile.
 */
export function postgresDatabase(url: string, environment: Environment): SourceDatabase {
  return {
    kind: 'postgres',
    async copy(directory) {
      const to = join(directory, 'database');
      return await connected(url, async (client) => {
        const { version, schema } = await aboutServer(client);
        const program = await pgDump(version, environment);
        await client.query('begin isolation level repeatable read read only');
        const snapshot = await one(client, 'select pg_export_snapshot() as value');
        const tables = await tablesOf(client);
        const words = ['--format=custom', '--no-owner', '--no-privileges', `--snapshot=${snapshot}`];
        const { address, more } = await withoutPassword(url, directory);
        const which = [`--schema=${quoted(schema)}`, `--file=${to}`, address];
        await runProgram(program, { words: [...words, ...which], environment, more });
        await client.query('commit');
        return { files: new Map([['database', to]]), tables, version, schema };
      });
    },
    async tryOut(directory, manifest) {
      const scratch = `chom_test_${randomBytes(6).toString('hex')}`;
      return await connected(url, async (client) => {
        await makeScratch(client, scratch);
        try {
          const at = new URL(url);
          at.pathname = `/${scratch}`;
          const { schema = 'public' } = manifest.database;
          await restorePostgres(String(at), join(directory, 'database'), { schema, environment });
          return await connected(String(at), async (restored) => {
            await restored.query(`set search_path = ${quoted(schema)}`);
            return await tablesOf(restored);
          });
        } finally {
          await client.query(`drop database ${scratch} with (force)`);
        }
      });
    },
  };
}

/** Restores a dump, all or nothing, into a database that has none of its tables. @throws BackupDamaged it cannot be read */
export async function restorePostgres(
  url: string,
  dump: string,
  { schema, environment }: { schema: string; environment: Environment },
): Promise<void> {
  const version = await connected(url, async (client) => {
    await client.query(`create schema if not exists ${quoted(schema)}`);
    return (await aboutServer(client)).version;
  });
  const program = join(dirname(await pgDump(version, environment)), 'pg_restore');
  const list = `${dump}.list`;
  // The schema is there already, as is `public` in every new database.
  const contents = await runProgram(program, { words: ['--list', dump], environment }).catch(unreadable);
  await writeFile(list, contents.replaceAll(/^\d+; \d+ \d+ (SCHEMA|COMMENT) - .*\n/gm, ''), {
    mode: 0o600,
    flag: 'wx',
  });
  const { address, more } = await withoutPassword(url, dirname(dump));
  const words = ['--no-owner', '--no-privileges', '--exit-on-error', '--single-transaction', `--use-list=${list}`];
  await runProgram(program, { words: [...words, `--dbname=${address}`, dump], environment, more });
}

/** What the current schema holds; only tables that the connection's user may read. */
export async function tablesOfPostgres(url: string): Promise<Table[]> {
  return await connected(url, tablesOf);
}

function unreadable(error: unknown): never {
  throw failure('BackupDamaged', 'The dump of the database cannot be read', { cause: messageOf(error) });
}

async function tablesOf(client: Client): Promise<Table[]> {
  // A row's text is the same everywhere, once these are.
  await client.query("set bytea_output = 'hex'; set datestyle = 'ISO'; set extra_float_digits = 1");
  const found = await client.query<{ name: string }>(
    `select relname as name from pg_catalog.pg_class
      where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace order by relname collate "C"`,
  );
  const tables: Table[] = [];
  for (const { name } of found.rows) {
    const { rows } = await client.query<{ rows: string; digest: string }>(
      `select count(*) as rows, encode(sha256(coalesce(string_agg(row, ''::bytea order by row), '')), 'hex') as digest
        from (select sha256(convert_to(one::text, 'UTF8')) as row from ${quoted(name)} as one) as rows`,
    );
    tables.push({ name, rows: Number(rows[0]?.rows), digest: rows[0]?.digest ?? '' });
  }
  return tables;
}

async function aboutServer(client: Client): Promise<{ version: string; schema: string }> {
  const schema = await one(client, 'select current_schema() as value');
  const number = Number(await one(client, "select current_setting('server_version_num') as value"));
  return { version: `${Math.floor(number / 10_000)}.${number % 10_000}`, schema };
}

async function makeScratch(client: Client, name: string): Promise<void> {
  await client.query(`create database ${name} template template0`).catch((error: unknown) => {
    throw failure('Forbidden', 'A scratch database for the test cannot be made', {
      cause: messageOf(error),
      next: `ALTER ROLE ${client.user ?? ''} CREATEDB (in psql, as an administrator of the database)`,
    });
  });
}

/** pg_dump refuses a server that is newer than itself. @throws NotFound saying which version would do */
async function pgDump(server: string, environment: Environment): Promise<string> {
  const major = Number.parseInt(server, 10);
  const accept = async (path: string) => {
    const said = await runProgram(path, { words: ['--version'], environment });
    return Number(/(\d+)/.exec(said)?.[1]) >= major;
  };
  const program = await programOnPath(['pg_dump'], environment, { also: await postgresDirectories(), accept });
  if (program !== null) return program;
  throw failure('NotFound', `There is no pg_dump of PostgreSQL ${major} or later on PATH`, {
    cause: `the database's server has version ${server}, and an older pg_dump does not read it`,
    next: `apt install postgresql-client-${major}`,
  });
}

/** libpq reads the password from a file, so that no command line shows it. */
async function withoutPassword(url: string, directory: string) {
  const address = new URL(url);
  const { password } = address;
  if (password === '') return { address: url, more: {} };
  address.password = '';
  const file = join(directory, `pgpass-${randomBytes(4).toString('hex')}`);
  const escaped = decodeURIComponent(password).replaceAll(/[\\:]/g, String.raw`\$&`);
  await writeFile(file, `*:*:*:*:${escaped}\n`, { mode: 0o600, flag: 'wx' });
  return { address: String(address), more: { PGPASSFILE: file } };
}

async function connected<Result>(url: string, fn: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: url, application_name: 'chom', connectionTimeoutMillis: 5000 });
  // Whatever breaks it fails the query that is under way; without a listener it would end the process.
  client.on('error', () => undefined);
  await client.connect().catch((error: unknown) => {
    throw failure('InventoryUnavailable', 'The database cannot be reached', { cause: messageOf(error) });
  });
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
}

async function one(client: Client, query: string): Promise<string> {
  const { rows } = await client.query<{ value: string }>(query);
  return String(rows[0]?.value);
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
