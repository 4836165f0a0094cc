import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as backups from '../../src/inventory/backups.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tenants from '../../src/inventory/tenants.js';
import { restStorage, sftpStorage } from '../inventory/storage-records.js';
import { addServer, addSite, startCommandLine, type CommandLine } from './command-line.js';

const DAY = 24 * 3_600_000;

let line: CommandLine;
let alpha = '';
beforeAll(async () => {
  line = await startCommandLine();
  const { inventory, keyring } = line.stores;
  const web1 = await addServer(line, 'web1');
  alpha = await addSite(line, web1, 'alpha.example');
  await addSite(line, web1, 'beta.example');
  await inventory.transaction(async (trx) => {
    await tenants.add(trx, { id: 'other', name: 'other' });
    await storages.add(trx, keyring, restStorage('st', 'store', { maintain: { server: web1, path: '/srv/rest' } }));
    await storages.add(trx, keyring, sftpStorage('box', 'box'));
    for (const storage of ['st', 'box']) {
      const url = `rest:https://store.example/${alpha}`;
      const { id } = await repositories.add(trx, keyring, { storage, site: alpha, url, password: Buffer.from('x') });
      await repositories.markEscrowed(trx, id);
      await repositories.markInitialised(trx, id, 'ab'.repeat(32));
    }
  });
});
afterAll(async () => await line.close());

interface Document {
  error?: { type: string; message: string; next: string };
  repositories?: { site: string; storage: string; policy: object; backups: { id: string; verdict: string }[] }[];
  cleaned?: { error: { type: string; message: string; next: string } }[];
  storage?: { maintain: object };
}
const json = async (...words: string[]) => {
  const ran = await line.here(...words, '--json');
  return { status: ran.status, document: JSON.parse(ran.stdout) as Document };
};
const operations = async () => await line.stores.inventory.db.selectFrom('operations').select('kind').execute();

async function made(id: string, storage: string, days: number) {
  await line.stores.inventory.transaction(async (trx) => {
    const about = { site: alpha, repository: `${storage}/${alpha}`, kind: 'full', tag: 'manual' } as const;
    await backups.begin(trx, { id, operation: `create-backup-${id}`, ...about, retentionDays: null });
    const came = { bytes: 5e6, newBytes: 1024, files: 7, manifestSha256: 'ab'.repeat(32), apartSeconds: 2 };
    await backups.finish(trx, id, { ...came, state: 'completed' });
    const startedAt = new Date(Date.now() - days * DAY).toISOString();
    await trx.updateTable('backups').set({ startedAt }).where('id', '=', id).execute();
  });
}

describe('without backups', () => {
  test.each([[['beta.example']], [['alpha.example']], [[]], [['--dry-run']], [['--force', '--storage', 'store']]])(
    '[CO-02] cleaning %j says so, and ends well',
    async (words) => {
      const ran = await line.here('backup', 'clean', ...words);
      expect(ran).toMatchObject({ status: 0, stdout: '', stderr: expect.stringContaining('There are no backups') });
      expect(await json('backup', 'clean', ...words)).toMatchObject({ status: 0, document: { repositories: [] } });
    },
  );

  test('of a site or storage that there is not, it is refused', async () => {
    expect(await json('backup', 'clean', 'nobody.example')).toMatchObject({ status: 5 });
    expect(await json('backup', 'clean', '--storage', 'nowhere')).toMatchObject({ status: 5 });
  });
});

describe('with backups', () => {
  beforeAll(async () => {
    await made('baaaaaaaaa', 'st', 0);
    await made('baaaaaaaab', 'st', 2);
    await made('baaaaaaaac', 'st', 800);
    await made('baaaaaaaad', 'st', 801);
    await made('baaaaaaaae', 'box', 1);
  });

  test('[CB-09/tenant] [CB-09/default] what its site says is kept, else its tenant, else the default', async () => {
    const verdicts = async () => {
      const { document } = await json('backup:clean', 'alpha.example', '--storage', 'store', '--dry-run');
      const [of] = document.repositories ?? [];
      return { policy: of?.policy, removed: of?.backups.filter((one) => one.verdict === 'remove').map(({ id }) => id) };
    };
    const set = async (...words: string[]) => expect(await line.here(...words)).toMatchObject({ status: 0 });
    // Of the default, four days and their weeks and months are no more than it keeps.
    expect(await verdicts()).toEqual({ policy: { within: 7, daily: 7, weekly: 4, monthly: 12 }, removed: [] });
    const few = ['--keep-daily', '1', '--keep-weekly', '0', '--keep-monthly', '0'];
    await set('tenant', 'set', 'default', ...few, '--timezone', 'Europe/Berlin');
    expect((await verdicts()).removed).toEqual(['baaaaaaaac', 'baaaaaaaad']);
    await set('site', 'set', 'alpha.example', '--keep-within', '1');
    expect(await verdicts()).toEqual({
      policy: { within: 1, daily: 1, weekly: 0, monthly: 0 },
      removed: ['baaaaaaaab', 'baaaaaaaac', 'baaaaaaaad'],
    });
    expect((await line.here('site', 'show', 'alpha.example')).stdout).toMatch(/^backups kept +1 daily, 0 weekly/m);
    await set('site', 'set', 'alpha.example', '--keep-default');
    expect((await verdicts()).removed).toEqual(['baaaaaaaac', 'baaaaaaaad']);
    expect(await json('site', 'set', 'alpha.example', '--keep-daily', '0')).toMatchObject({ status: 2 });
    expect(await json('site', 'set', 'alpha.example')).toMatchObject({ status: 2 });
    await set('site', 'set', 'alpha.example', '--scheduled-backups', 'off');
    await set('site', 'set', 'alpha.example', '--backup-storage', 'box');
    expect(await sites.byDomain(line.stores.inventory.db, 'alpha.example')).toMatchObject({
      ...{ scheduledBackups: false, backupStorage: 'box' },
    });
    expect(await json('site', 'set', 'alpha.example', '--backup-storage', 'nowhere')).toMatchObject({ status: 5 });
    expect(await json('site', 'set', 'alpha.example', '--scheduled-backups', 'never')).toMatchObject({ status: 2 });
    expect(await json('tenant', 'set', 'default', '--timezone', 'Europe/Nowhere')).toMatchObject({ status: 2 });
    expect(await json('tenant', 'set', 'nobody', '--keep-daily', '3')).toMatchObject({ status: 5 });
  });

  test('[CO-04] a dry run tells what goes and why the rest stays, and asks for nothing', async () => {
    const { status, stdout } = await line.here('backup', 'clean', '--dry-run');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^alpha\.example in store \(1 daily, .*, by days of Europe\/Berlin\)$/m);
    expect(stdout).toMatch(
      /^baaaaaaaaa .* keep +younger than 24 hours, of the last 7 days, daily .*, newest of its kind$/m,
    );
    expect(stdout).toMatch(/^baaaaaaaad +\d+ days +full +5\.0 MB +completed +remove +no day, week or month needs it$/m);
    expect(await operations()).toEqual([]);
    expect(line.contacts()).toBe(0);
  });

  test('[CO-06] without a terminal nothing is asked for unless --force is given', async () => {
    const { status, document } = await json('backup', 'clean');
    expect(status).toBe(2);
    expect(document.error).toMatchObject({ message: expect.stringContaining('2 backups of alpha.example') });
    expect(document.error?.next).toContain('--force');
    expect(await operations()).toEqual([]);
  });

  test('where nobody keeps the files of a storage it says so, and removes nothing', async () => {
    await made('baaaaaaaaf', 'box', 300);
    const { status, document } = await json('backup', 'clean', '--storage', 'box', '--force');
    expect(status).toBe(1);
    expect(document.cleaned).toMatchObject([{ error: { type: 'UnsupportedHost' } }]);
    expect(await operations()).toEqual([]);
    const next = (document.cleaned ?? [])[0]?.error.next ?? '';
    expect(next).toBe(
      'chom storage set box --maintain SERVER:/path; or chom storage set box --maintain controller --maintain-key FILE',
    );
    const set = async (maintain: string) => await json('storage', 'set', 'box', '--maintain', maintain);
    expect(await set('web1')).toMatchObject({ status: 2 });
    expect(await set('nowhere:/srv/box')).toMatchObject({ status: 5 });
    expect(await set('web1:/srv/box')).toMatchObject({
      status: 0,
      document: { storage: { maintain: { server: 'web1', path: '/srv/box' } } },
    });
  });

  test('only a deleted site’s are purged, by its id and its confirmation', async () => {
    const purge = async (id: string, ...words: string[]) => await json('backup', 'purge', '--site', id, ...words);
    expect(await purge('alpha.example')).toMatchObject({ status: 2 });
    expect(await purge('szzzzzzzzz')).toMatchObject({ status: 5 });
    expect(await purge(alpha, '--confirm', alpha)).toMatchObject({
      status: 1,
      document: { error: { type: 'Conflict' } },
    });
    await line.stores.inventory.transaction((trx) => sites.setStatus(trx, alpha, 'removed'));
    expect(await purge(alpha)).toMatchObject({ status: 2 });
    expect(await purge(alpha, '--confirm', 'alpha.example')).toMatchObject({ status: 2 });
    expect(await operations()).toEqual([]);
  });
});
