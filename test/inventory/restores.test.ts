import { expect, test } from 'vitest';
import * as backups from '../../src/inventory/backups.js';
import type { Trx } from '../../src/inventory/database.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as restores from '../../src/inventory/restores.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';
import { restStorage } from './storage-records.js';

onBothDatabases('A restore', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const refused = async (fn: (trx: Trx) => Promise<unknown>) => await failureOf(write(fn));
  const status = async () => (await sites.byId(database.inventory.db, 'sone')).status;

  /** A live site with a backup, and operations that may restore it. */
  const made = () =>
    write(async (trx) => {
      const { keyring } = database;
      await storages.add(trx, keyring, restStorage('st', 'store'));
      await activeServer(trx, 'web1');
      await sites.reserve(trx, sitePlan('sone', 'one.example'), 'p-sone');
      await sites.activate(trx, 'sone');
      const password = Buffer.from('password');
      const url = 'rest:https://store.example/sone';
      await repositories.add(trx, keyring, { storage: 'st', site: 'sone', url, password });
      const kept = { id: 'b1', operation: 'made', site: 'sone', repository: 'st/sone', retentionDays: null };
      await backups.begin(trx, { ...kept, kind: 'full', tag: 'manual' });
      for (const id of ['r1', 'r2', 'r3', 'u1']) {
        const kind = id === 'u1' ? 'undo-restore' : 'restore-backup';
        const place = { tenant: 'default', server: 'web1', site: 'sone', cluster: 'c', namespace: 'n' };
        await operations.ask(trx, keyring, { id, kind, input: {}, ...place });
      }
    });
  const begin =
    (operation: string, what: { files?: boolean; database?: boolean } = {}) =>
    async (trx: Trx) =>
      await restores.begin(trx, {
        ...{ operation, backup: 'b1', site: 'sone', path: null },
        ...{ files: what.files ?? true, database: what.database ?? true },
      });
  const came = {
    databaseCharset: 'utf8mb4',
    databaseCollation: 'utf8mb4_bin',
    safety: 'b2',
    undoUntil: '2030-01-01T00:00:00.000Z',
  };
  const restored = async (id: string, what: { files?: boolean; database?: boolean } = {}) => {
    await write(begin(id, what));
    await write((trx) => restores.finish(trx, id, came));
    await write((trx) => restores.settle(trx, id));
  };

  test('covers the status of its site until it ends, however it ends', async () => {
    await made();
    await write(begin('r1'));
    await write(begin('r1'));
    expect(await status()).toBe('restoring');
    expect(await refused(begin('r2'))).toMatchObject({ type: 'Conflict' });
    // Somebody else's end changes nothing.
    await write((trx) => restores.settle(trx, 'r2'));
    expect(await status()).toBe('restoring');
    await write((trx) => restores.settle(trx, 'r1'));
    expect(await status()).toBe('active');
    expect(await restores.byOperation(database.inventory.db, 'r1')).toMatchObject({ state: 'failed' });
    expect(await refused((trx) => restores.finish(trx, 'r1', came))).toMatchObject({ type: 'Conflict' });
    await write((trx) => sites.setStatus(trx, 'sone', 'removed'));
    expect(await status()).toBe('removed');
  });

  test('can be undone while it is the latest of its kind, and until its window ends', async () => {
    await made();
    const { db } = database.inventory;
    const undoable = async (id: string) =>
      await restores.byOperation(db, id).then(
        async (restore) =>
          await restores.expectUndoable(db, restore).then(
            () => true,
            () => false,
          ),
      );
    await restored('r1');
    expect(await undoable('r1')).toBe(true);
    await restored('r2', { database: false });
    expect([await undoable('r1'), await undoable('r2')]).toEqual([false, true]);
    await restored('r3', { files: false });
    expect([await undoable('r1'), await undoable('r2'), await undoable('r3')]).toEqual([false, true, true]);
    await write((trx) => restores.close(trx, 'sone', 'u1'));
    expect(await status()).toBe('restoring');
    await write((trx) => restores.markUndone(trx, 'r2'));
    await write((trx) => restores.markUndone(trx, 'r2'));
    await write((trx) => restores.settle(trx, 'u1'));
    expect([await undoable('r1'), await undoable('r2'), await undoable('r3')]).toEqual([false, false, true]);
    await write((trx) => restores.end(trx, 'r3'));
    await write((trx) => restores.end(trx, 'r3'));
    expect([await undoable('r1'), await undoable('r3')]).toEqual([false, false]);
    expect(await restores.byOperation(db, 'r2')).toMatchObject({ state: 'undone', undoUntil: came.undoUntil });
    await write((trx) => restores.end(trx, 'r2'));
    expect(await restores.byOperation(db, 'r2')).toMatchObject({ state: 'undone' });
  });

  test('is another tenant’s where it is', async () => {
    await made();
    await write(begin('r1'));
    const { db } = database.inventory;
    expect(await restores.byOperation(db, 'r1', { tenant: 'default' })).toMatchObject({ files: true, database: true });
    expect(await failureOf(restores.byOperation(db, 'r1', { tenant: 't2' }))).toMatchObject({ type: 'NotFound' });
  });
});
