import { expect, test } from 'vitest';
import * as backups from '../../src/inventory/backups.js';
import type { Trx } from '../../src/inventory/database.js';
import * as repositories from '../../src/inventory/repositories.js';
import type { SnapshotRole } from '../../src/inventory/schema.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tenants from '../../src/inventory/tenants.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';
import { restStorage } from './storage-records.js';

onBothDatabases('A backup', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);

  /** Two sites of two tenants, each with a repository in one storage. */
  const made = () =>
    write(async (trx) => {
      const { keyring } = database;
      await storages.add(trx, keyring, restStorage('st', 'store'));
      await tenants.add(trx, { id: 't2', name: 't2' });
      for (const [site, server, tenant] of [
        ['sone', 'web1', 'default'],
        ['stwo', 'web2', 't2'],
      ] as const) {
        await activeServer(trx, server, tenant);
        await sites.reserve(trx, sitePlan(site, `${site}.example`, { server, tenant }), `p-${site}`);
        const password = Buffer.from('password');
        await repositories.add(trx, keyring, {
          storage: 'st',
          site,
          url: `rest:https://store.example/${site}`,
          password,
        });
      }
    });
  const begin = (id: string, site = 'sone', repository = `st/${site}`) =>
    write((trx) =>
      backups.begin(trx, {
        ...{ id, operation: `create-backup-${id}`, site, repository },
        ...{ kind: 'full', tag: 'manual', retentionDays: 30 },
      }),
    );
  const snapshot = (backup: string, role: SnapshotRole, id: string) =>
    write((trx) => backups.addSnapshot(trx, { id: id.repeat(64), backup, role, bytes: 9e9, newBytes: 12, files: 3 }));
  const came = { bytes: 9e9, newBytes: 5e9, files: 1196, manifestSha256: 'ab'.repeat(32), apartSeconds: 4 };
  const finish = (id: string, state: 'partial' | 'completed' = 'completed') =>
    write((trx) => backups.finish(trx, id, { ...came, state }));

  test('is all the snapshots of its operation, and complete only when it was said so', async () => {
    const { db } = database.inventory;
    await made();
    const begun = await begin('b1');
    expect(begun).toMatchObject({
      state: 'creating',
      kind: 'full',
      tag: 'manual',
      retentionDays: 30,
      finishedAt: null,
    });
    expect(await begin('b1')).toEqual(begun);
    await snapshot('b1', 'files', 'f');
    await snapshot('b1', 'database', 'd');
    await snapshot('b1', 'files', 'f');
    expect(await failureOf(snapshot('b1', 'files', 'e'))).toMatchObject({ type: 'Conflict' });
    expect((await backups.snapshotsOf(db, 'b1')).map(({ role, id, bytes }) => [role, id.length, bytes])).toEqual([
      ['database', 64, 9e9],
      ['files', 64, 9e9],
    ]);
    await finish('b1');
    expect(await backups.byId(db, 'b1')).toMatchObject({ ...came, state: 'completed', finishedAt: expect.any(String) });
    expect(await backups.ofOperation(db, 'create-backup-b1')).toMatchObject({ id: 'b1' });
    expect(await backups.ofOperation(db, 'create-backup-b2')).toBeNull();
  });

  test('goes its way and not back: what failed, is partial or was deleted never becomes good', async () => {
    const { db } = database.inventory;
    await made();
    const state = async (id: string) => (await backups.byId(db, id)).state;
    const refused = async (doing: Promise<unknown>) =>
      expect(await failureOf(doing)).toMatchObject({ type: 'Conflict' });
    const verify = (id: string) => write((trx) => backups.markVerified(trx, id));
    for (const id of ['b1', 'b2', 'b3']) await begin(id);
    await refused(verify('b1'));
    await refused(write((trx) => backups.markDeleted(trx, 'b1', 'too old')));
    await finish('b1');
    await refused(finish('b1', 'partial'));
    await refused(write((trx) => backups.fail(trx, 'b1', 'late')));
    await verify('b1');
    await verify('b1');
    expect(await backups.byId(db, 'b1')).toMatchObject({ state: 'verified', verifiedAt: expect.any(String) });
    await finish('b2', 'partial');
    await refused(verify('b2'));
    await write((trx) => backups.fail(trx, 'b3', 'the dump ended early'));
    await write((trx) => backups.fail(trx, 'b3', 'told twice'));
    await refused(finish('b3'));
    expect(await backups.byId(db, 'b3')).toMatchObject({ state: 'failed', reason: 'the dump ended early' });
    for (const id of ['b1', 'b2', 'b3', 'b1']) await write((trx) => backups.markDeleted(trx, id, 'by the policy'));
    expect([await state('b1'), await state('b2'), await state('b3')]).toEqual(['deleted', 'deleted', 'deleted']);
    await refused(verify('b1'));
  });

  test('that is found not to restore says so until it is verified, and nothing that was said before', async () => {
    const { db } = database.inventory;
    await made();
    const refute = (id: string, why: string) => write((trx) => backups.refute(trx, id, why));
    for (const id of ['b1', 'b2']) await begin(id);
    await finish('b1');
    await write((trx) => backups.markVerified(trx, 'b1'));
    await refute('b1', 'a table has lost its rows');
    const refuted = { verifyFailedAt: expect.any(String), verifyFailure: 'a table has lost its rows' };
    expect(await backups.byId(db, 'b1')).toMatchObject({ state: 'completed', verifiedAt: null, ...refuted });
    await write((trx) => backups.markVerified(trx, 'b1'));
    const verified = { state: 'verified', verifyFailedAt: null, verifyFailure: null };
    expect(await backups.byId(db, 'b1')).toMatchObject(verified);
    // What is no complete backup does not become one by that.
    await finish('b2', 'partial');
    await refute('b2', 'it lacks something');
    expect(await backups.byId(db, 'b2')).toMatchObject({ state: 'partial', verifyFailedAt: null });
  });

  test('of one tenant is not seen by another, and lies in the repository of its own site', async () => {
    const { db } = database.inventory;
    await made();
    await begin('b1');
    await begin('b2', 'stwo');
    expect(await failureOf(begin('b3', 'sone', 'st/stwo'))).toMatchObject({ type: 'NotFound' });
    expect(await failureOf(backups.byId(db, 'b1', { tenant: 't2' }))).toMatchObject({ type: 'NotFound' });
    const ids = async (filter: backups.BackupFilter) => (await backups.list(db, filter)).map(({ id }) => id);
    expect(await ids({ tenant: 't2' })).toEqual(['b2']);
    expect(await ids({ server: 'web1' })).toEqual(['b1']);
    expect(await ids({ site: 'sone', states: ['completed', 'verified'] })).toEqual([]);
    expect(await ids({ repository: 'st/sone', states: ['creating'] })).toEqual(['b1']);
    expect((await backups.list(db, { site: 'stwo' }))[0]).toMatchObject({ domain: 'stwo.example', server: 'web2' });
  });
});
