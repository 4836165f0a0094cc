import { expect, test } from 'vitest';
import { backupFindings } from '../../src/activities/backup-findings.js';
import * as backups from '../../src/inventory/backups.js';
import * as repositories from '../../src/inventory/repositories.js';
import type { BackupKind } from '../../src/inventory/schema.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import { onDatabase } from '../inventory/databases.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { restStorage } from '../inventory/storage-records.js';

const HOUR = 3_600_000;

onDatabase('sqlite', 'A site', (database) => {
  const SITE = 'sabcdefghi';
  /** With a database unless told otherwise. */
  async function made(more: { database?: boolean } = { database: true }): Promise<void> {
    const { inventory, keyring } = database;
    await inventory.transaction(async (trx) => {
      await activeServer(trx, 'web1');
      await storages.add(trx, keyring, restStorage('st', 'store'));
      await sites.reserve(trx, { ...sitePlan(SITE, 'a.test'), ...more }, 'p');
      await sites.activate(trx, SITE);
      const password = Buffer.from('password');
      await repositories.add(trx, keyring, { storage: 'st', site: SITE, url: 'rest:https://s.test/a', password });
    });
  }
  async function backUp(id: string, kind: BackupKind, state: 'completed' | 'partial' = 'completed'): Promise<void> {
    await database.inventory.transaction(async (trx) => {
      const what = { id, operation: `create-${id}`, site: SITE, repository: `st/${SITE}`, kind, tag: 'manual' };
      await backups.begin(trx, { ...what, retentionDays: null });
      const came = { bytes: 1, newBytes: 1, files: 1, manifestSha256: 'ab', apartSeconds: 0 };
      await backups.finish(trx, id, { ...came, state });
    });
  }
  const after = async (hours: number) => {
    const { db } = database.inventory;
    const [found] = await backupFindings(db, await sites.byId(db, SITE), Date.now() + hours * HOUR);
    return found;
  };

  test('that was never backed up is told of after two days', async () => {
    await made();
    expect(await after(47)).toMatchObject({ name: 'backup', state: 'ok' });
    expect(await after(49)).toMatchObject({ name: 'unsaved', state: 'wrong', next: 'chom backup create a.test' });
  });

  test('is late two days after its last good backup of all that it is', async () => {
    await made();
    await backUp('b1', 'files');
    await backUp('b2', 'full', 'partial');
    expect(await after(49)).toMatchObject({ name: 'unsaved' });
    await backUp('b3', 'full');
    expect(await after(47)).toMatchObject({ name: 'backup', state: 'ok' });
    expect(await after(49)).toMatchObject({
      ...{ name: 'backup', state: 'wrong', message: 'The last good backup of a.test is 49 hours old' },
      next: 'chom backup create a.test',
    });
  });

  test('is expected to have none where none are wanted by schedule', async () => {
    await made();
    await database.inventory.transaction(async (trx) => {
      await trx.updateTable('sites').set({ scheduledBackups: 0 }).where('id', '=', SITE).execute();
    });
    expect(await after(490)).toMatchObject({ name: 'backup', state: 'ok' });
  });

  test('without a database is saved by its files', async () => {
    await made({ database: false });
    await backUp('b1', 'files');
    expect(await after(49)).toMatchObject({ name: 'backup', state: 'wrong' });
  });
});
