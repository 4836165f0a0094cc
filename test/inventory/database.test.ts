import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { sql } from 'kysely';
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { openInventory } from '../../src/inventory/database.js';
import * as tenants from '../../src/inventory/tenants.js';
import { failure } from '../../src/workflows/failures.js';
import { failureOf, onBothDatabases, onDatabase } from './databases.js';
import { startSilentProxy } from '../workflows/silent-proxy.js';
import { query } from './postgres.js';

onBothDatabases('The inventory', (database) => {
  const add = (name: string) => database.inventory.transaction((trx) => tenants.add(trx, { id: name, name }));
  const names = async () => (await tenants.list(database.inventory.db)).map(({ name }) => name);

  test('has the tenant `default` from the beginning', async () => {
    expect(await names()).toEqual(['default']);
  });

  test('keeps all or nothing of a transaction', async () => {
    const given = failure('Conflict', 'No');
    const thrown = database.inventory.transaction(async (trx) => {
      await tenants.add(trx, { id: 'a', name: 'a' });
      throw given;
    });
    await expect(thrown).rejects.toBe(given);
    expect(await names()).toEqual(['default']);
    await add('b');
    expect(await names()).toEqual(['b', 'default']);
  });

  test('is written in transactions alone', async () => {
    const { inventory } = database;
    const write = inventory.db.insertInto('tenants').values({ id: 'a', name: 'a', createdAt: 'now' }).execute();
    expect(await failureOf(write)).toMatchObject({ type: 'InventoryUnavailable' });
    expect(await failureOf(inventory.db.transaction().execute(async () => undefined))).toMatchObject({ type: 'Bug' });
    const nested = inventory.transaction(() => inventory.transaction(async () => undefined));
    expect(await failureOf(nested)).toMatchObject({ type: 'Bug' });
    expect(await names()).toEqual(['default']);
  });

  test('answers a refused query with a failure that holds no value', async () => {
    const { inventory } = database;
    const twice = inventory.transaction((trx) =>
      trx.insertInto('tenants').values({ id: 'secret-id', name: 'default', createdAt: 'now' }).execute(),
    );
    const refused = await failureOf(twice);
    expect(refused).toMatchObject({ type: 'Unexpected' });
    expect(JSON.stringify(refused)).not.toContain('secret-id');
    expect(await failureOf(sql`select * from nothing`.execute(inventory.db))).toMatchObject({ type: 'Unexpected' });
  });

  test('runs transactions of one process one after the other, none lost', async () => {
    const all = Array.from({ length: 50 }, (_, n) => `t${String(n).padStart(2, '0')}`);
    await Promise.all(all.map((name) => add(name)));
    expect(await names()).toEqual(['default', ...all]);
  });

  test('waits for whoever is writing without stopping the event loop', async () => {
    const release = await occupy(database.where);
    let ticks = 0;
    const clock = setInterval(() => (ticks += 1), 10);
    const added = add('a');
    await until(() => ticks >= 5);
    expect(await names()).toEqual(['default']);
    await release();
    await added;
    clearInterval(clock);
    expect(await names()).toEqual(['a', 'default']);
  });

  test('says so when it stays busy', async () => {
    const release = await occupy(database.where);
    const impatient = await database.open({ patienceMilliseconds: 100 });
    const busy = failureOf(
      impatient.transaction(async (trx) => {
        if (database.kind === 'postgres') await sql`set local lock_timeout = 50`.execute(trx);
        return await tenants.add(trx, { id: 'a', name: 'a' });
      }),
    );
    expect(await busy).toMatchObject({ type: 'InventoryUnavailable', message: 'The inventory stayed busy' });
    await release();
    expect(await names()).toEqual(['default']);
  });

  test('refuses what a newer CHOM has migrated', async () => {
    await database.inventory.transaction((trx) =>
      sql`insert into schema_versions (version, name, at) values (1000, 'later', 'now')`.execute(trx),
    );
    const refused = await failureOf(database.open());
    expect(refused).toMatchObject({
      type: 'InventoryUnavailable',
      details: { next: expect.stringContaining('upgrade') },
    });
  });
});

onDatabase('postgres', 'A lost connection', (database) => {
  test('is replaced, and its transaction runs again', async () => {
    const { inventory, where } = database;
    if (!('url' in where)) throw new Error('This is not PostgreSQL');
    let runs = 0;
    await inventory.transaction(async (trx) => {
      runs += 1;
      await tenants.add(trx, { id: 'a', name: 'a' });
      if (runs > 1) return;
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
      await query(where.url, `select pg_terminate_backend(${rows[0]?.pid})`);
      await tenants.add(trx, { id: 'b', name: 'b' });
    });
    expect(runs).toBe(2);
    await query(where.url, `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chom'`);
    expect((await tenants.list(inventory.db)).map(({ name }) => name)).toEqual(['a', 'default']);
  });

  test('that fell silent is given up like one that broke', async () => {
    const url = new URL('url' in database.where ? database.where.url : '');
    const proxy = await startSilentProxy(join(url.searchParams.get('host') ?? '', '.s.PGSQL.5432'));
    try {
      url.searchParams.delete('host');
      url.host = proxy.address;
      const inventory = await database.open({ silenceMilliseconds: 500 }, { url: url.href });
      let runs = 0;
      await inventory.transaction(async (trx) => {
        runs += 1;
        await tenants.add(trx, { id: 'a', name: 'a' });
        if (runs === 1) proxy.silence();
        await tenants.add(trx, { id: 'b', name: 'b' });
      });
      expect(runs).toBe(2);
      expect(await tenants.list(inventory.db)).toHaveLength(3);
      proxy.silence();
      expect((await tenants.list(inventory.db)).map(({ name }) => name)).toEqual(['a', 'b', 'default']);
    } finally {
      await proxy.close();
    }
  });

  test('in a commit is reported as an unknown outcome', async () => {
    const { inventory, where } = database;
    if (!('url' in where)) throw new Error('This is not PostgreSQL');
    // A deferred trigger runs inside the commit, and ends its own connection.
    await query(
      where.url,
      `create function hang_up() returns trigger language plpgsql as
        'begin perform pg_terminate_backend(pg_backend_pid()); return null; end';
       create constraint trigger hang_up after insert on tenants deferrable initially deferred
        for each row execute function hang_up()`,
    );
    let runs = 0;
    const lost = inventory.transaction(async (trx) => {
      runs += 1;
      await tenants.add(trx, { id: 'a', name: 'a' });
    });
    expect(await failureOf(lost)).toMatchObject({
      type: 'InventoryUnavailable',
      message: expect.stringContaining('may have taken effect'),
    });
    expect(runs).toBe(1);
  });
});

describe('Where the inventory cannot be opened', () => {
  const patienceMilliseconds = 100;

  test('a PostgreSQL that is not there is named as the cause', async () => {
    const absent = openInventory({ url: 'postgresql://chom@127.0.0.1:9/chom' }, { patienceMilliseconds });
    expect(await failureOf(absent)).toMatchObject({
      type: 'InventoryUnavailable',
      details: { cause: expect.stringContaining('ECONNREFUSED') },
    });
  });

  test('a directory that cannot be made is named', async () => {
    const absent = openInventory({ file: '/dev/null/none/inventory.db' });
    expect(await failureOf(absent)).toMatchObject({
      type: 'InventoryUnavailable',
      message: 'The inventory /dev/null/none/inventory.db cannot be opened',
    });
  });

  test('a file that is no inventory is left as it is', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'chom-inventory-'));
    const file = join(directory, 'inventory.db');
    await writeFile(file, 'not a database, but somebody needs it\n'.repeat(100));
    expect(await failureOf(openInventory({ file }))).toMatchObject({
      type: 'InventoryUnavailable',
      message: expect.stringContaining('not an inventory'),
    });
    expect((await stat(file)).size).toBe(3800);
    await rm(directory, { recursive: true });
  });
});

onDatabase('sqlite', 'A full disk', (database) => {
  test('is named as the cause, and nothing is half written', async () => {
    const { inventory } = database;
    const add = (name: string) => inventory.transaction((trx) => tenants.add(trx, { id: name, name }));
    const pages = async (pragma: string) => await inventory.transaction((trx) => sql.raw(pragma).execute(trx));
    // The file may not grow any more: to SQLite that is the disk's end.
    await pages('pragma max_page_count = 1');
    const full = await failureOf(
      inventory.transaction(async (trx) => {
        await tenants.add(trx, { id: 'a', name: 'a' });
        await tenants.add(trx, { id: 'b', name: 'b'.repeat(1_000_000) });
      }),
    );
    expect(full).toMatchObject({
      type: 'InventoryUnavailable',
      message: 'The inventory is out of order: the disk is full',
    });
    expect((await tenants.list(inventory.db)).map(({ name }) => name)).toEqual(['default']);
    await pages('pragma max_page_count = 1000000');
    await add('c');
    expect((await tenants.list(inventory.db)).map(({ name }) => name)).toEqual(['c', 'default']);
  });
});

describe('The SQLite file', () => {
  test('is for its owner alone, and a commit is on the disk', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'chom-inventory-'));
    const file = join(directory, 'home', 'inventory.db');
    const inventory = await openInventory({ file });
    const modes = await Promise.all(['', '-wal', '-shm'].map(async (end) => (await stat(file + end)).mode & 0o777));
    expect(modes).toEqual([0o600, 0o600, 0o600]);
    expect((await stat(join(directory, 'home'))).mode & 0o777).toBe(0o700);
    const settings = await inventory.transaction(async (trx) => [
      (await sql`pragma journal_mode`.execute(trx)).rows[0],
      (await sql`pragma synchronous`.execute(trx)).rows[0],
      (await sql`pragma foreign_keys`.execute(trx)).rows[0],
    ]);
    expect(settings).toEqual([{ journalMode: 'wal' }, { synchronous: 2 }, { foreignKeys: 1 }]);
    await inventory.close();
    await rm(directory, { recursive: true });
  });
});

/** Somebody else holds the lock that a writer of tenants needs. */
async function occupy(where: { file: string } | { url: string }): Promise<() => Promise<void>> {
  if ('file' in where) {
    const other = new Sqlite(where.file);
    other.exec('begin immediate');
    return async () => void other.close();
  }
  const other = new Client({ connectionString: where.url });
  await other.connect();
  await other.query('begin; lock table tenants in share mode');
  return async () => await other.end();
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('It did not come to that');
    await sleep(5);
  }
}
