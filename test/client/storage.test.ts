import { afterAll, beforeAll, expect, test } from 'vitest';
import * as repositories from '../../src/inventory/repositories.js';
import * as storages from '../../src/inventory/storages.js';
import { restStorage, sftpStorage } from '../inventory/storage-records.js';
import { addServer, addSite, startCommandLine, type CommandLine } from './command-line.js';

let line: CommandLine;
let site = '';
beforeAll(async () => {
  line = await startCommandLine();
  const server = await addServer(line, 'store1');
  site = await addSite(line, server, 'a.example', []);
  const { inventory, keyring } = line.stores;
  await inventory.transaction(async (trx) => {
    await storages.add(trx, keyring, sftpStorage('stobox', 'box', { tenant: 'default' }));
    await storages.add(trx, keyring, restStorage('storest', 'rest', { maintain: { server, path: '/srv/rest' } }));
    await storages.recordAccess(trx, 'storest', 'append-only');
    const login = { kind: 'rest' as const, user: site, password: 'of the login' };
    const url = `rest:https://store.example/${site}`;
    const password = Buffer.from('of the repository');
    await repositories.add(trx, keyring, { storage: 'storest', site, url, password, login });
  });
});
afterAll(async () => await line.close());

const json = async (...words: string[]) => JSON.parse((await line.here(...words, '--json')).stdout) as object;

test('storages are listed with what was found out about them, and without their secrets', async () => {
  const { stdout } = await line.here('storage', 'list');
  expect(stdout).toMatch(/^box +shared login +not tried yet +- +sftp:\/\/backup@198\.18\.0\.9:22\/\/data$/m);
  expect(stdout).toMatch(/^rest +one per site +append-only +2\S+Z +rest:https:\/\/store\.example$/m);
  expect(await json('storage', 'show', 'rest')).toMatchObject({
    storage: {
      ...{ name: 'rest', kind: 'rest', tenant: null, logins: 'per-site', access: 'append-only' },
      maintain: { server: 'store1', path: '/srv/rest' },
      sites: [{ id: site, domain: 'a.example', initialisedAt: null }],
    },
  });
  expect(await json('storage', 'show', 'box')).toMatchObject({ storage: { hostKey: 'SHA256:one', maintain: null } });
  expect(JSON.stringify(await json('storage', 'list'))).not.toMatch(/sesame|of the/);
});

test('the recovery kit tells where passwords lie, and what they are only when that is asked for', async () => {
  const hidden = await json('storage', 'recovery-kit');
  expect(hidden).toMatchObject({ repositories: [{ domain: 'a.example', sealed: `/srv/rest/recovery/${site}` }] });
  expect(JSON.stringify(hidden)).not.toContain('of the');
  expect(await json('storage', 'recovery-kit', '--reveal')).toMatchObject({
    repositories: [{ password: 'of the repository', login: { user: site, password: 'of the login' } }],
  });
});

test('of S3 it names the repository that a sealed password lies in', async () => {
  const { inventory, keyring } = line.stores;
  const url = 's3:https://s3.example/bucket';
  await inventory.transaction(async (trx) => {
    const login = { kind: 's3' as const, accessKeyId: 'AKIA', secretAccessKey: 'open sesame' };
    await storages.add(trx, keyring, { ...sftpStorage('stos3', 's3'), kind: 's3', url, login });
    const password = Buffer.from('of the repository');
    await repositories.add(trx, keyring, { storage: 'stos3', site, url: `${url}/${site}`, password });
  });
  const sealed = { sealed: `${url}/recovery/${site}`, sealedOpenedBy: 'chom-recovery' };
  expect(await json('storage', 'recovery-kit')).toMatchObject({ repositories: [{ storage: 'rest' }, sealed] });
  expect((await line.here('storage', 'recovery-kit')).stdout).toContain(
    `--repo '${sealed.sealed}' dump latest /sealed`,
  );
});

test.each<[number, string, ...string[]]>([
  [2, 'Storage rest is tried from store1, which keeps it', 'check', 'rest', '--from', 'web1'],
  [5, 'There is no server web1', 'check', 'box', '--from', 'web1'],
  [1, 'Storage rest holds the repositories of 1 sites', 'remove', 'rest', '--confirm', 'rest'],
  [2, 'confirm', 'remove', 'box'],
  [1, 'There is a storage box already', 'add', 'box', '--repository', '/srv/backups'],
  [5, 'There is no server web1', 'add', 'new', '--repository', 'rest:https://h.example', '--maintain', 'web1:/srv'],
  [2, 'without a terminal', 'add', 'new', '--repository', 'sftp:a@b.example:/c'],
  [2, 'cannot be read', 'add', 'new', '--repository', 'rest:https://h.example', '--login', '/nonexistent'],
  [2, '--maintain-key FILE', 'set', 'box', '--maintain', 'controller'],
  [2, 'Each site has a login of its own', 'set', 'rest', '--maintain', 'controller', '--maintain-login', '/dev/null'],
  [2, 'neither all nor a part', 'check', 'box', '--read-data', '5/4'],
])('it ends with %i and “%s”: storage %s %s', async (status, message, ...words) => {
  const before = await storages.list(line.stores.inventory.db);
  const ran = await line.here('storage', ...words);
  expect(ran).toMatchObject({ status, stdout: '' });
  expect(ran.stderr).toContain(message);
  expect(await storages.list(line.stores.inventory.db)).toEqual(before);
  expect(line.contacts()).toBe(0);
});

test('a storage that holds nothing is forgotten', async () => {
  expect(await line.here('storage', 'remove', 'box', '--confirm', 'box')).toMatchObject({ status: 0 });
  expect((await line.here('storage', 'show', 'box')).status).toBe(5);
});
