import { Client } from 'pg';
import { expect, test } from 'vitest';
import { developAlone } from '../../src/inventory/development.js';
import { failureOf, onDatabase, type TestDatabase } from './databases.js';
import { query } from './postgres.js';

onDatabase('postgres', 'An inventory that chom dev works with', (database) => {
  const url = ({ where }: TestDatabase) => ('url' in where ? where.url : '');
  /** As PostgreSQL does it when it restarts, or misses the machine of the one that has it. */
  const cutOff = async () =>
    await query(
      url(database),
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chom dev'",
    );

  const locks = async (which: 'granted' | 'not granted') =>
    Number(
      (await query(url(database), `select count(*) as n from pg_locks where locktype = 'advisory' and ${which}`))[0]?.[
        'n'
      ],
    );

  test('is one’s alone until that one ends; another inventory of that database is not concerned', async () => {
    const first = await developAlone(url(database));
    expect(await failureOf(developAlone(url(database)))).toMatchObject({
      type: 'Conflict',
      message: 'Another chom dev works with this database',
      details: {
        cause: expect.stringMatching(/^it runs on this machine, since \d/),
        next: expect.stringContaining('chom worker'),
      },
    });
    const elsewhere = await database.blank();
    const other = await developAlone('url' in elsewhere ? elsewhere.url : '');
    await first.release();
    const second = await developAlone(url(database));
    await second.release();
    await other.release();
  });

  test('is taken again by whoever was cut off, who is told where another one was faster', async () => {
    const first = await developAlone(url(database));
    const told = failureOf(first.lost);
    await cutOff();
    await expect.poll(async () => await locks('granted'), { timeout: 30_000 }).toBe(1);
    expect(await failureOf(developAlone(url(database)))).toMatchObject({ type: 'Conflict' });

    // Whoever waits at PostgreSQL has it the moment that it is free.
    const faster = new Client({ connectionString: url(database) });
    await faster.connect();
    const taken = faster.query('select pg_advisory_lock(1667788653, hashtext(current_schema()))');
    await expect.poll(async () => await locks('not granted'), { timeout: 30_000 }).toBe(1);
    await cutOff();
    await taken;
    expect(await told).toMatchObject({ type: 'Conflict' });
    await first.release();
    await faster.end();
  });

  test('that cannot be reached is said to be away', async () => {
    const away = 'postgresql://chom@localhost/postgres?host=%2Fnowhere';
    expect(await failureOf(developAlone(away))).toMatchObject({ type: 'InventoryUnavailable' });
  });
});
