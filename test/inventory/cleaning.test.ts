import { expect, test } from 'vitest';
import * as backups from '../../src/inventory/backups.js';
import * as cleaning from '../../src/inventory/cleaning.js';
import type { Trx } from '../../src/inventory/database.js';
import { abandonServer } from '../../src/inventory/gone.js';
import { ownSnapshots } from '../../src/inventory/repository-alarm.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as restores from '../../src/inventory/restores.js';
import * as retentions from '../../src/inventory/retentions.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tenants from '../../src/inventory/tenants.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, provision, sitePlan } from './records.js';
import { iso } from './retention-history.js';
import { restStorage } from './storage-records.js';

const DAY = 24 * 3_600_000;
const hex = (n: number) => n.toString(16).repeat(64).slice(0, 64);

onBothDatabases('Cleaning', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const now = Date.now();

  /** A site with a backup of each of so many days ago, of one snapshot each, and a policy that keeps one. */
  async function made(days: readonly number[]): Promise<string[]> {
    const { keyring } = database;
    await write(async (trx) => {
      await storages.add(trx, keyring, restStorage('st', 'store'));
      await activeServer(trx, 'web1');
      await sites.reserve(trx, sitePlan('sone', 'one.example'), 'p-sone');
      await sites.activate(trx, 'sone');
      const url = 'rest:https://store.example/sone';
      await repositories.add(trx, keyring, { storage: 'st', site: 'sone', url, password: Buffer.from('x') });
      await retentions.setOfSite(trx, 'sone', { within: 0, daily: 1, weekly: 0, monthly: 0 });
    });
    for (const [n, ago] of days.entries()) await add(`b${n}`, ago, n);
    return days.map((_, n) => `b${n}`);
  }
  const add = (id: string, ago: number, n: number) =>
    write(async (trx) => {
      const of = { site: 'sone', repository: 'st/sone', kind: 'full', tag: 'manual', retentionDays: null } as const;
      await backups.begin(trx, { id, operation: `make-${id}`, ...of });
      await backups.addSnapshot(trx, { id: hex(n), backup: id, role: 'files', bytes: 1, newBytes: 1, files: 1 });
      const came = { bytes: 1, newBytes: 1, files: 1, manifestSha256: 'ab'.repeat(32), apartSeconds: null };
      await backups.finish(trx, id, { ...came, state: 'completed' });
      await trx
        .updateTable('backups')
        .set({ startedAt: iso(now - ago * DAY) })
        .where('id', '=', id)
        .execute();
    });
  const removal = (operation: string) => ({ operation, site: 'sone', repository: 'st/sone', now });
  const condemn = async (operation: string, confirmed: string[] | null = null) =>
    (await write((trx) => cleaning.condemn(trx, { ...removal(operation), confirmed }))).map(({ id }) => id).toSorted();
  const state = async (id: string) => (await backups.byId(database.inventory.db, id)).state;

  test('marks what the policy removes; from then on it cannot be used, verified or counted', async () => {
    await made([2, 3, 4]);
    expect(await condemn('c1')).toEqual(['b1', 'b2']);
    expect(await state('b1')).toBe('deleting');
    expect(await failureOf(write((trx) => backups.use(trx, 'b1', 'restore')))).toMatchObject({ type: 'Conflict' });
    expect(await failureOf(write((trx) => backups.markVerified(trx, 'b1')))).toMatchObject({ type: 'Conflict' });
    const listed = await backups.list(database.inventory.db, { site: 'sone', states: ['completed'] });
    expect(listed.map(({ id }) => id)).toEqual(['b0']);
    // A removal that was begun is finished by the next one, whatever was confirmed.
    expect(await condemn('c2', [])).toEqual(['b1', 'b2']);
    const gone = await cleaning.recordsOf(database.inventory.db, 'st/sone');
    await write((trx) =>
      cleaning.recordRemoved(
        trx,
        gone.filter(({ id }) => id !== 'b0'),
        'by the policy',
      ),
    );
    expect((await backups.removedBy(database.inventory.db, 'c2')).map(({ id }) => id)).toEqual(['b1', 'b2']);
    expect(await backups.byId(database.inventory.db, 'b1')).toMatchObject({
      state: 'deleted',
      reason: 'by the policy',
    });
    expect(await condemn('c3')).toEqual([]);
  });

  test('removes only what was confirmed, of what the policy still removes', async () => {
    await made([2, 3, 4]);
    expect(await condemn('c1', ['b2', 'b0'])).toEqual(['b2']);
    expect(await state('b1')).toBe('completed');
  });

  test('leaves what an operation uses, until that has an outcome', async () => {
    await made([2, 3]);
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('restore-1', { server: null, site: null }));
      await backups.use(trx, 'b1', 'restore-1');
      await backups.use(trx, 'b1', 'restore-1');
    });
    expect(await condemn('c1')).toEqual([]);
    const [, used] = await cleaning.judge(database.inventory.db, removal('c1'));
    expect(used?.reasons).toEqual([{ rule: 'needed', operation: 'restore-1' }]);
    await write((trx) => trx.updateTable('operations').set({ outcome: 'failed', state: 'ended' }).execute());
    expect(await condemn('c1')).toEqual(['b1']);
  });

  test('leaves what was saved before a restore, until that can no longer be undone', async () => {
    await made([2, 40]);
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('restore-1', { server: null, site: null }));
      const of = { operation: 'restore-1', backup: 'b0', site: 'sone', files: true, database: false, path: null };
      await restores.begin(trx, of);
      const came = { databaseCharset: null, databaseCollation: null, safety: 'b1', undoUntil: iso(now + DAY) };
      await restores.finish(trx, 'restore-1', came);
      await restores.settle(trx, 'restore-1');
      await trx.updateTable('operations').set({ outcome: 'succeeded', state: 'ended' }).execute();
    });
    expect(await condemn('c1')).toEqual([]);
    await write((trx) => trx.updateTable('restores').set({ state: 'ended' }).execute());
    expect(await condemn('c1')).toEqual(['b1']);
  });

  test('of two at once, one that uses a backup and one that removes it, one is refused or leaves it', async () => {
    const all = await made([2, ...Array.from({ length: 8 }, (_, n) => 3 + n)]);
    await write((trx) => operations.ask(trx, database.keyring, provision('restore-1', { server: null, site: null })));
    const using = all.slice(1).map(async (id) => {
      return await write((trx) => backups.use(trx, id, 'restore-1')).then(
        () => id,
        () => null,
      );
    });
    const [going, ...used] = await Promise.all([condemn('c1'), ...using]);
    const both = used.filter((id) => id !== null && going.includes(id));
    expect(both).toEqual([]);
    expect(going.length + used.filter((id) => id !== null).length).toBe(8);
  });

  test('purges all of a deleted site, and nothing of one that exists or is at use', async () => {
    await made([0, 2, 3]);
    const purge = () => write((trx) => cleaning.condemnAll(trx, removal('p1')));
    expect(await failureOf(purge())).toMatchObject({ type: 'Conflict', message: expect.stringContaining('is active') });
    await write((trx) => sites.setStatus(trx, 'sone', 'removed'));
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('restore-1', { server: null, site: null }));
      await backups.use(trx, 'b1', 'restore-1');
    });
    expect(await failureOf(purge())).toMatchObject({ type: 'Conflict', details: { holder: 'restore-1' } });
    await write((trx) => trx.updateTable('operations').set({ outcome: 'failed', state: 'ended' }).execute());
    expect((await purge()).map(({ id }) => id).toSorted()).toEqual(['b0', 'b1', 'b2']);
  });

  test('a site that went with its server keeps what the policy keeps; of a deleted one all goes, and its repository is spent', async () => {
    await made([0, 10]);
    const { db } = database.inventory;
    const later = { ...removal('c1'), now: now + 60 * DAY };
    const kept = async () => (await cleaning.judge(db, later)).filter((one) => one.keep).map(({ backup }) => backup.id);
    const spent = async () => await cleaning.isSpent(db, later);
    await write((trx) => abandonServer(trx, { server: 'web1', name: 'web1', except: '' }));
    expect(await sites.byId(db, 'sone')).toMatchObject({ status: 'removed' });
    expect(await kept()).toEqual(['b0']);
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('d1', { kind: 'delete-site', server: null, site: null }));
      await trx.updateTable('sites').set({ deletedBy: 'd1' }).where('id', '=', 'sone').execute();
    });
    expect(await kept()).toEqual([]);
    const going = await write((trx) => cleaning.condemn(trx, { ...later, confirmed: null }));
    expect(await spent()).toBe(false);
    await write((trx) => cleaning.recordRemoved(trx, going, 'removed by the policy'));
    expect(await spent()).toBe(true);
  });

  test('of a site that exists a repository is never spent', async () => {
    await made([]);
    expect(await cleaning.isSpent(database.inventory.db, removal('c1'))).toBe(false);
  });

  test('[CB-09/caller] [CB-09/tenant] [CB-09/default] days that a backup’s caller named win over its tenant’s, and those over 7', async () => {
    await made([2, 5, 9, 20]);
    const { db } = database.inventory;
    const kept = async () =>
      (await cleaning.judge(db, removal('c'))).filter((one) => one.keep).map(({ backup }) => backup.id);
    await write((trx) => retentions.setOfSite(trx, 'sone', null));
    const few = { daily: 1, weekly: 0, monthly: 0 };
    await write((trx) => retentions.setOfTenant(trx, 'default', { retention: few }));
    expect(await retentions.ofSite(db, 'sone')).toMatchObject({ policy: { within: 7, ...few } });
    expect(await kept()).toEqual(['b0', 'b1']);
    await write((trx) => retentions.setOfTenant(trx, 'default', { retention: { within: 10 } }));
    expect(await kept()).toEqual(['b0', 'b1', 'b2']);
    await write((trx) => trx.updateTable('backups').set({ retentionDays: 30 }).where('id', '=', 'b3').execute());
    await write((trx) => trx.updateTable('backups').set({ retentionDays: 3 }).where('id', '=', 'b1').execute());
    expect(await kept()).toEqual(['b0', 'b2', 'b3']);
    await write((trx) => retentions.setOfSite(trx, 'sone', { within: 2 }));
    expect(await kept()).toEqual(['b0', 'b3']);
    await write((trx) => retentions.setOfSite(trx, 'sone', null));
    expect(await kept()).toEqual(['b0', 'b2', 'b3']);
  });

  test('a policy that keeps nothing is refused, of a tenant also for the sake of its sites', async () => {
    await made([2]);
    const none = { daily: 0, weekly: 0, monthly: 0 };
    const refused = async (doing: Promise<unknown>) =>
      expect(await failureOf(doing)).toMatchObject({ type: 'InvalidInput' });
    await refused(write((trx) => retentions.setOfSite(trx, 'sone', none)));
    await write((trx) => retentions.setOfSite(trx, 'sone', null));
    await write((trx) => retentions.setOfSite(trx, 'sone', { daily: 0, weekly: 0 }));
    await refused(write((trx) => retentions.setOfTenant(trx, 'default', { retention: { monthly: 0 } })));
    await refused(write((trx) => retentions.setOfTenant(trx, 'default', { timezone: 'Europe/Nowhere' })));
    await write((trx) => retentions.setOfTenant(trx, 'default', { timezone: 'Europe/Berlin' }));
    expect(await retentions.ofSite(database.inventory.db, 'sone')).toMatchObject({ timezone: 'Europe/Berlin' });
    expect((await tenants.byId(database.inventory.db, 'default')).retention).toEqual({});
  });
});

test('of a backup go its own snapshots, and what its operation did not live to record, but nothing of another one', () => {
  const record = (id: string, snapshots: string[]) => ({
    ...({ id, operation: `op-${id}`, repository: 'r', kind: 'full', state: 'completed', tag: 'manual' } as const),
    ...{ startedAt: iso(0), retentionDays: null, bytes: 1, snapshots },
  });
  const [one, two] = [record('one', ['a', 'b']), record('two', ['c'])];
  const found = [
    { id: 'a', operation: 'op-one' },
    { id: 'c', operation: 'op-one' },
    { id: 'd', operation: 'op-one' },
    { id: 'e', operation: 'op-two' },
    { id: 'f', operation: null },
  ].map((each) => ({ ...each, time: iso(0) }));
  expect(ownSnapshots(one, [one, two], found)).toEqual(['a', 'd']);
});
