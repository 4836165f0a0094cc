import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runHere } from '../client/command-line.js';
import { type MariadbServer, startMariadb } from './mariadb.js';

let server: MariadbServer;
let home = '';
const chom = async (...words: string[]) => {
  const { PATH = '' } = process.env;
  const environment = { PATH, CHOM_HOME: home, CHOM_SOURCE_PASSWORD: 'p"a\\ss#wörd' };
  const ran = await runHere(['backup', 'database', '--json', ...words], environment);
  return { ...ran, json: JSON.parse(ran.stdout || '{}') as Record<string, unknown> };
};
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-mysql-'));
  server = await startMariadb();
  await server.query(String.raw`
    create database shop character set utf8mb4;
    create user chom@localhost identified by 'p"a\\ss#wörd';
    grant all on *.* to chom@localhost;
    create table shop.orders (id int primary key, what varchar(100), picture blob);
    insert into shop.orders select seq, concat('näme ', seq, ' 🐘'), unhex(repeat('00ff27', 50)) from shop.seq_1_to_5000;
    create table shop.empty (id int);
    create view shop.names as select what from shop.orders;
    create trigger shop.stamp before insert on shop.orders for each row set new.what = coalesce(new.what, 'none');
    create event shop.gone on schedule every 1 second do delete from shop.empty;`);
});
afterAll(async () => {
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});

test('[BD-01] a MariaDB database is backed up, tried out beside itself and leaves nothing there', async () => {
  const made = await chom('--source', server.url('shop'), '--test');
  expect(made).toMatchObject({ status: 0, json: { database: 'mysql', tables: 2, rows: 5000, tested: true } });
  expect(await server.query('show databases')).not.toContain('chom_test_');
  const file = String(made.json['file']);
  const text = (await readFile(file)).toString();
  expect(text.includes('näme 4999 🐘')).toBe(true);
  // Views, triggers and events are in it as well; the scratch database got none of those that act, here the live one's too.
  const parts = [/VIEW `names`/, /trigger shop\.stamp/i, /EVENT `gone`/];
  expect(parts.filter((part) => !part.test(text))).toEqual([]);
  expect(await chom('--source', server.url('shop'), '--test', file)).toMatchObject({ status: 0, json: { rows: 5000 } });
});

test('what cannot be had says so, and the password is on no command line', async () => {
  expect(await chom('--source', server.url('nothing'))).toMatchObject({
    status: 1,
    json: { error: { type: 'CommandFailed' } },
  });
  const told = server.url('shop').replace('chom@', 'chom:secret@');
  const refused = await chom('--source', told);
  expect(refused).toMatchObject({ status: 2, json: { error: { type: 'InvalidInput' } } });
  expect(refused.stdout + refused.stderr).not.toContain('secret@');
  expect(await chom('--source', 'nowhere')).toMatchObject({ status: 2 });
});
