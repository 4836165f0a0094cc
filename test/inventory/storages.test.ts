import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tenants from '../../src/inventory/tenants.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';
import { restStorage, sftpStorage } from './storage-records.js';

onBothDatabases('A storage', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const add = (storage: storages.NewStorage) => write((trx) => storages.add(trx, database.keyring, storage));
  const twoTenants = () =>
    write(async (trx) => {
      await tenants.add(trx, { id: 't2', name: 't2' });
      await activeServer(trx, 'web1');
      await sites.reserve(trx, sitePlan('sone', 'example.org'), 'p1');
      await activeServer(trx, 'web2', 't2');
      await sites.reserve(trx, sitePlan('stwo', 'two.example', { tenant: 't2', server: 'web2' }), 'p2');
    });
  const repository = (storage: string, site: string, over: Partial<repositories.NewRepository> = {}) =>
    write((trx) =>
      repositories.add(trx, database.keyring, {
        ...{ storage, site, url: `rest:https://store.example/${site}`, password: Buffer.from(`password of ${site}`) },
        ...over,
      }),
    );

  test('is known by its name, its login sealed, and whether it can be deleted is found and not said', async () => {
    const { inventory, keyring } = database;
    const added = await add(sftpStorage('st1', 'store'));
    expect(added).toMatchObject({ kind: 'sftp', logins: 'shared', access: null, probedAt: null, maintainServer: null });
    expect(added).toMatchObject({ hostKeyFingerprint: 'SHA256:one', loginPublic: 'ssh-ed25519 AAAA chom' });
    const [row] = await inventory.db.selectFrom('storages').selectAll().execute();
    expect(JSON.stringify(row)).not.toContain('open sesame');
    expect(storages.sharedLogin(added, keyring)).toMatchObject({ kind: 'sftp', privateKey: 'open sesame' });
    const stranger = Keyring.fromObject(Keyring.generate());
    expect(() => storages.sharedLogin(added, stranger)).toThrow(/./);
    await write((trx) => storages.recordAccess(trx, 'st1', 'deletable'));
    expect(await storages.byName(inventory.db, 'default', 'store')).toMatchObject({ access: 'deletable' });
    expect(await failureOf(add(sftpStorage('st2', 'store')))).toMatchObject({
      type: 'Conflict',
      message: 'There is a storage store already: sftp://backup@198.18.0.9:22//data',
    });
  });

  test('is maintained from one place, with a login that is sealed for that alone', async () => {
    const { inventory, keyring } = database;
    const login = { kind: 'sftp' as const, privateKey: 'may delete', public: 'ssh-ed25519 BBBB' };
    const own = await add(
      sftpStorage('st1', 'store', { maintain: { url: 'sftp://pruner@198.18.0.9:22//data', login } }),
    );
    expect(own).toMatchObject({ maintainServer: null, maintainPath: null, maintainLoginPublic: 'ssh-ed25519 BBBB' });
    const [row] = await inventory.db.selectFrom('storages').selectAll().execute();
    expect(JSON.stringify(row)).not.toContain('may delete');
    expect(storages.maintenanceLogin(own, keyring)).toEqual(login);
    expect(() => storages.maintenanceLogin({ ...own, maintainSealedLogin: own.sealedLogin }, keyring)).toThrow(/./);
    await write(async (trx) => await activeServer(trx, 'web1'));
    const set = (keeper: storages.Keeper) => write((trx) => storages.setKeeper(trx, keyring, 'st1', keeper));
    const kept = await set({ server: 'web1', path: '/srv/data' });
    expect(kept).toMatchObject({ maintainServer: 'web1', maintainUrl: null, maintainSealedLogin: null });
    expect(storages.maintenanceLogin(kept, keyring)).toBeNull();
    expect(await set({ url: own.url, login })).toMatchObject({ maintainServer: null, maintainUrl: own.url });
  });

  test('of one tenant is not seen by another; of none it is everybody’s, behind a tenant’s own', async () => {
    const { db } = database.inventory;
    await twoTenants();
    await add(sftpStorage('st1', 'store', { tenant: 'default' }));
    await add(restStorage('st2', 'store'));
    await add(restStorage('st3', 'other'));
    expect((await storages.byName(db, 'default', 'store')).id).toBe('st1');
    expect((await storages.byName(db, 't2', 'store')).id).toBe('st2');
    expect((await storages.list(db, { tenant: 't2' })).map(({ id }) => id)).toEqual(['st3', 'st2']);
    expect((await storages.list(db)).map(({ id }) => id)).toEqual(['st3', 'st1', 'st2']);
    expect(await failureOf(storages.byName(db, 't2', 'none'))).toMatchObject({ type: 'NotFound' });
    expect(await failureOf(repository('st1', 'stwo'))).toMatchObject({
      type: 'NotFound',
      message: 'There is no storage st1',
    });
    expect(await failureOf(storages.byId(db, 'st1', { tenant: 't2' }))).toMatchObject({ type: 'NotFound' });
    expect(await repositories.list(db, { site: 'stwo' })).toEqual([]);
    expect((await repository('st2', 'stwo')).id).toBe('st2/stwo');
  });

  test('holds one repository of a site, with a password that is made once and read with the key alone', async () => {
    const { inventory, keyring } = database;
    await twoTenants();
    const storage = await add(restStorage('st2', 'store'));
    const login = { kind: 'rest' as const, user: 'sone', password: 'open sesame' };
    const [first, second] = await Promise.all([
      repository('st2', 'sone', { login }),
      repository('st2', 'sone', { login, password: Buffer.from('password of sone') }),
    ]);
    expect(second).toEqual(first);
    expect(await repository('st2', 'sone', { password: Buffer.from('another') })).toEqual(first);
    expect(repositories.passwordOf(first, keyring).toString()).toBe('password of sone');
    expect(repositories.loginOf(first, storage, keyring)).toEqual(login);
    const rows = JSON.stringify(await inventory.db.selectFrom('repositories').selectAll().execute());
    expect(rows).not.toContain('open sesame');
    expect(rows).not.toContain('password of sone');
    expect(await repositories.ofSite(inventory.db, 'st2', 'sone')).toEqual(first);
    expect(await repositories.ofSite(inventory.db, 'st2', 'stwo')).toBeNull();
    expect(await failureOf(write((trx) => storages.remove(trx, 'st2')))).toMatchObject({ type: 'Conflict' });
  });

  test('goes when no site has anything there, and is known by the server that keeps it', async () => {
    const { inventory, keyring } = database;
    await twoTenants();
    await add(restStorage('st1', 'store', { maintain: { server: 'web1', path: '/srv/rest' } }));
    expect((await storages.keptBy(inventory.db, 'web1')).map(({ name }) => name)).toEqual(['store']);
    expect(await storages.keptBy(inventory.db, 'web2')).toEqual([]);
    const trial = { storage: 'st1', site: null, url: 'rest:https://store.example/trial', password: Buffer.from('x') };
    await write((trx) => repositories.add(trx, keyring, trial));
    await write((trx) => storages.remove(trx, 'st1'));
    expect(await storages.list(inventory.db)).toEqual([]);
    expect(await repositories.list(inventory.db, { storage: 'st1' })).toEqual([]);
  });

  test('gets a login once', async () => {
    const { keyring } = database;
    const { login: _, ...without } = sftpStorage('st1', 'store');
    await add(without);
    const give = (privateKey: string) =>
      write((trx) => storages.giveLogin(trx, keyring, 'st1', { kind: 'sftp', privateKey, public: `of ${privateKey}` }));
    expect((await give('first')).loginPublic).toBe('of first');
    const held = await give('second');
    expect(held.loginPublic).toBe('of first');
    expect(storages.sharedLogin(held, keyring)).toMatchObject({ privateKey: 'first' });
  });

  test('is used by a repository only when its password is escrowed, and stays the same one', async () => {
    const { inventory, keyring } = database;
    await twoTenants();
    const storage = await add(sftpStorage('st1', 'store'));
    const { id } = await repository('st1', 'sone');
    const initialise = (resticId: string) => write((trx) => repositories.markInitialised(trx, id, resticId));
    expect(await failureOf(initialise('r1'))).toMatchObject({ type: 'Bug' });
    await write((trx) => repositories.markEscrowed(trx, id));
    const { escrowedAt } = await repositories.byId(inventory.db, id);
    await write((trx) => repositories.markEscrowed(trx, id));
    await initialise('r1');
    await initialise('r1');
    const held = await repositories.byId(inventory.db, id);
    expect(held).toMatchObject({ escrowedAt, resticId: 'r1', initialisedAt: expect.any(String) });
    expect(await failureOf(initialise('r2'))).toMatchObject({
      type: 'Conflict',
      details: { cause: 'its id is r2, that of ours is r1' },
    });
    expect(repositories.loginOf(held, storage, keyring)).toMatchObject({ kind: 'sftp' });
  });
});
