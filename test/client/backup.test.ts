import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as backups from '../../src/inventory/backups.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as servers from '../../src/inventory/servers.js';
import * as storages from '../../src/inventory/storages.js';
import * as tenants from '../../src/inventory/tenants.js';
import { restStorage, sftpStorage } from '../inventory/storage-records.js';
import { addServer, addSite, startCommandLine, type CommandLine } from './command-line.js';

let line: CommandLine;
const sites: Record<string, string> = {};
beforeAll(async () => {
  line = await startCommandLine();
  const { inventory } = line.stores;
  await inventory.transaction((trx) => tenants.add(trx, { id: 'other', name: 'other' }));
  const web1 = await addServer(line, 'web1');
  const lost = await addServer(line, 'lost');
  for (const name of ['alpha', 'beta', 'gamma']) sites[name] = await addSite(line, web1, `${name}.example`);
  await addSite(line, lost, 'orphan.example');
  await inventory.transaction((trx) => servers.setStatus(trx, lost, 'removed'));
});
afterAll(async () => await line.close());

interface Shown {
  id: string;
  state: string;
}
interface Document {
  error: { message: string; cause: string; next: string };
  backup: Shown;
  backups: Shown[];
  sites: { site: string; count: number; newest: Shown | null; newestVerified: Shown | null }[];
}

const json = async (...words: string[]) => {
  const ran = await line.here(...words, '--json');
  return { status: ran.status, document: JSON.parse(ran.stdout) as Document };
};

describe('a backup that cannot be is refused before anything is written', () => {
  test.each([
    ['of no site', ['nobody.example'], 5, 'There is no site nobody.example'],
    ['[CB-08] of a site whose server is gone', ['orphan.example'], 5, 'Site orphan.example has no server'],
    ['of both halves alone', ['alpha.example', '--files', '--database'], 2, 'are given both'],
    ['of a database that there is not', ['alpha.example', '--database'], 2, 'has no database'],
    ['for a word with spaces', ['alpha.example', '--tag', 'before update'], 2, 'is no tag'],
    ['for half a day', ['alpha.example', '--retention-days', '0.5'], 2, 'whole number of days'],
    ['for no days', ['alpha.example', '--retention-days', ''], 2, 'whole number of days'],
    ['without a storage', ['alpha.example'], 5, 'no storage for backups yet'],
  ])('%s', async (_, words, status, message) => {
    const ran = await json('backup', 'create', ...words);
    expect(ran.status).toBe(status);
    expect(ran.document.error.message).toContain(message);
    expect(ran.document.error.next).toBeTruthy();
    expect(line.contacts()).toBe(0);
    const { db } = line.stores.inventory;
    expect(await db.selectFrom('operations').select('id').execute()).toEqual([]);
    expect(await db.selectFrom('backups').select('id').execute()).toEqual([]);
  });
});

describe('with backups', () => {
  beforeAll(async () => {
    const { inventory, keyring } = line.stores;
    await inventory.transaction(async (trx) => {
      await storages.add(trx, keyring, restStorage('st', 'store'));
      await storages.add(trx, keyring, sftpStorage('theirs', 'theirs', { tenant: 'other' }));
      for (const name of ['alpha', 'beta', 'gamma']) {
        const site = sites[name] ?? '';
        await repositories.add(trx, keyring, {
          ...{ storage: 'st', site, url: `rest:https://store.example/${site}`, password: Buffer.from('x') },
        });
      }
    });
    await finished('baaaaaaaaa', 'alpha', '2026-01-01T00:00:00.000Z', 'completed');
    await finished('baaaaaaaab', 'alpha', '2026-01-02T00:00:00.000Z', 'partial');
    await finished('baaaaaaaac', 'beta', '2026-01-03T00:00:00.000Z', 'verified');
    await finished('baaaaaaaad', 'beta', '2026-01-04T00:00:00.000Z', 'failed');
  });

  async function finished(
    id: string,
    of: string,
    startedAt: string,
    state: 'partial' | 'completed' | 'verified' | 'failed',
  ) {
    const site = sites[of] ?? '';
    await line.stores.inventory.transaction(async (trx) => {
      const about = { site, repository: `st/${site}`, kind: 'full', tag: 'manual', retentionDays: null } as const;
      await backups.begin(trx, { id, operation: `create-backup-${id}`, ...about });
      if (state === 'failed') await backups.fail(trx, id, 'no space');
      else {
        const came = {
          bytes: 5 * 1024 * 1024,
          newBytes: 1024,
          files: 7,
          manifestSha256: 'ab'.repeat(32),
          apartSeconds: 2,
        };
        await backups.finish(trx, id, { ...came, state: state === 'partial' ? 'partial' : 'completed' });
        if (state === 'verified') await backups.markVerified(trx, id);
      }
      await trx.updateTable('backups').set({ startedAt }).where('id', '=', id).execute();
    });
  }

  test('every site stands in the order of what is proven of it, the worst first', async () => {
    const { document } = await json('backup', 'list');
    const rows = document.sites.map(({ site, newestVerified }) => [site, newestVerified?.id ?? null]);
    expect(rows).toEqual([
      ['alpha.example', null],
      ['gamma.example', null],
      ['orphan.example', null],
      ['beta.example', 'baaaaaaaac'],
    ]);
    // What is partial is no whole backup.
    expect(document.sites[0]).toMatchObject({ count: 2, newest: { id: 'baaaaaaaaa' } });
  });

  test('those of a site are told, the newest first, and what failed only when asked for', async () => {
    const ids = async (...words: string[]) =>
      (await json('backup', 'list', ...words)).document.backups.map(({ id }) => id);
    expect(await ids('alpha.example')).toEqual(['baaaaaaaab', 'baaaaaaaaa']);
    expect(await ids('beta.example')).toEqual(['baaaaaaaac']);
    expect(await ids('beta.example', '--all')).toEqual(['baaaaaaaad', 'baaaaaaaac']);
    const { stdout } = await line.here('backup', 'list', 'alpha.example');
    expect(stdout).toMatch(/^BACKUP +AGE +TYPE +SIZE +NEW +STATE +LAST VERIFIED +TAG\n/);
    expect(stdout).toMatch(/baaaaaaaaa +\d+ days +full +5\.2 MB +1\.0 kB +completed +never +manual/);
  });

  test('one that was found not to restore says so, with a date', async () => {
    const { inventory } = line.stores;
    await finished('baaaaaaaae', 'gamma', '2026-01-05T00:00:00.000Z', 'verified');
    await inventory.transaction((trx) => backups.refute(trx, 'baaaaaaaae', 'table shop has 1 rows, but the backup 2'));
    const { stdout: shown } = await line.here('backup', 'show', 'baaaaaaaae');
    expect(shown).toMatch(/^last verified +never$/m);
    expect(shown).toMatch(/^does not restore +\d{4}-\S+Z: table shop has 1 rows, but the backup 2$/m);
    const { stdout: listed } = await line.here('backup', 'list', 'gamma.example');
    expect(listed).toMatch(/^baaaaaaaae .* completed +failed .* ago +manual$/m);
    const { stdout: every } = await line.here('backup', 'list');
    expect(every).toMatch(/^gamma\.example +never .*\(does not restore\) +1$/m);
    const { document } = await json('backup', 'show', 'baaaaaaaae');
    const verifyFailure = 'table shop has 1 rows, but the backup 2';
    expect(document.backup).toMatchObject({ verifiedAt: null, verifyFailedAt: expect.any(String), verifyFailure });
  });

  test.each([
    ['[SE-05] one of another tenant', ['baaaaaaaac', '--tenant', 'other'], 5, 'There is no backup baaaaaaaac'],
    ['one that there is not', ['bzzzzzzzzz'], 5, 'There is no backup bzzzzzzzzz'],
    ['what is neither an id nor a domain', ['nothing'], 2, 'nothing'],
    ['one that is partial', ['baaaaaaaab'], 1, 'Backup baaaaaaaab is partial'],
    ['one that failed', ['baaaaaaaad'], 1, 'Backup baaaaaaaad is failed'],
    ['of a site that has none', ['orphan.example'], 5, 'Site orphan.example has no complete backup'],
  ])('%s is not verified, and nothing is written', async (_, words, status, message) => {
    const ran = await json('backup', 'verify', ...words);
    expect(ran.status).toBe(status);
    expect(ran.document.error.message).toContain(message);
    expect(line.contacts()).toBe(0);
    expect(await line.stores.inventory.db.selectFrom('operations').select('id').execute()).toEqual([]);
  });

  test('one is shown with where it lies', async () => {
    const { document } = await json('backup', 'show', 'baaaaaaaac');
    expect(document.backup).toMatchObject({
      id: 'baaaaaaaac',
      site: 'beta.example',
      storage: 'store',
      state: 'verified',
    });
    expect(await json('backup', 'show', 'nothing')).toMatchObject({ status: 2 });
    expect(await json('backup', 'show', 'bzzzzzzzzz')).toMatchObject({ status: 5 });
  });

  test('[SE-05] of another tenant nothing is seen', async () => {
    expect(await json('backup', 'show', 'baaaaaaaac', '--tenant', 'other')).toMatchObject({ status: 5 });
    expect((await json('backup', 'list', '--tenant', 'other')).document.sites).toEqual([]);
    expect(await json('backup', 'list', 'alpha.example', '--tenant', 'other')).toMatchObject({ status: 5 });
  });

  test('a storage of another tenant is none, and of several one is to be named', async () => {
    expect(await json('backup', 'create', 'alpha.example', '--storage', 'theirs')).toMatchObject({ status: 5 });
    const { inventory, keyring } = line.stores;
    await inventory.transaction((trx) => storages.add(trx, keyring, restStorage('two', 'second')));
    const ran = await json('backup', 'create', 'alpha.example');
    expect(ran).toMatchObject({ status: 2, document: { error: { cause: 'second, store' } } });
  });
});
