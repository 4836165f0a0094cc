import { expect, test } from 'vitest';
import * as accounts from '../../src/inventory/accounts.js';
import * as credentials from '../../src/inventory/credentials.js';
import type { Trx } from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import { controllerId, refuseMissingKeys } from '../../src/inventory/keys.js';
import { serverLogin } from '../../src/inventory/logins.js';
import * as machines from '../../src/inventory/machines.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import * as tenants from '../../src/inventory/tenants.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer } from './records.js';

const web1 = { id: 'v1', tenant: 'default', name: 'web1', address: '198.18.0.2', port: 22, user: 'root' };

onBothDatabases('A server', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const add = (over: Partial<servers.NewServer> = {}) => write((trx) => servers.add(trx, { ...web1, ...over }));
  const pin = (fingerprint: string) =>
    write((trx) => servers.pinHostKey(trx, 'v1', { hostKey: `ssh-ed25519 ${fingerprint}`, fingerprint }));

  test('is added once', async () => {
    const added = await add();
    expect(added).toMatchObject({
      ...web1,
      status: 'enrolling',
      hostKey: null,
      versions: { php: [] },
      nextUid: 20_000,
    });
    expect(await add({ id: 'v2' })).toMatchObject({ id: 'v1' });
    await write((trx) => servers.setStatus(trx, 'v1', 'active'));
    expect(await add({ id: 'v3' })).toMatchObject({ id: 'v1', status: 'active' });
    expect(await failureOf(add({ id: 'v3', address: '198.18.0.9' }))).toMatchObject({
      type: 'Conflict',
      message: 'Server web1 is enrolled already, as root@198.18.0.2:22',
    });
    expect(await failureOf(add({ name: 'web2' }))).toMatchObject({ type: 'Conflict' });
    expect(await servers.list(database.inventory.db)).toHaveLength(1);
  });

  test('whose enrolment failed is taken up again, and its pin kept for the same machine alone', async () => {
    await add();
    await pin('SHA256:one');
    await write((trx) => servers.setStatus(trx, 'v1', 'failed'));
    expect(await add({ user: 'admin' })).toMatchObject({
      status: 'enrolling',
      user: 'admin',
      hostKeyFingerprint: 'SHA256:one',
    });
    expect(await add({ address: '198.18.0.3' })).toMatchObject({ address: '198.18.0.3', hostKey: null });
  });

  test('is not moved while an operation is at work on it, or waits to be', async () => {
    const { inventory } = database;
    await add();
    const enrolling = { root: 'enrol-1', tenant: 'default', server: 'v1', site: null, priority: 'default' } as const;
    await write((trx) => places.enter(trx, { ...enrolling, exclusive: true }));
    await write((trx) => places.enter(trx, { ...enrolling, root: 'enrol-2', exclusive: true }));
    for (const moved of [{ address: '198.18.0.9' }, { port: 2222 }, { user: 'admin' }]) {
      expect(await failureOf(add(moved))).toMatchObject({
        type: 'Busy',
        message: expect.stringContaining('root@198.18.0.2:22'),
        details: { holder: 'enrol-1', next: expect.stringContaining('chom op cancel enrol-1') },
      });
    }
    expect(await servers.byId(inventory.db, 'v1')).toMatchObject(web1);
    expect(await add()).toMatchObject({ id: 'v1' });
    await write((trx) => places.release(trx, { root: 'enrol-1', server: 'v1' }));
    expect(await failureOf(add({ user: 'admin' }))).toMatchObject({ type: 'Busy', details: { holder: 'enrol-2' } });
    await write((trx) => places.release(trx, { root: 'enrol-2', server: 'v1' }));
    expect(await add({ user: 'admin' })).toMatchObject({ id: 'v1', user: 'admin' });
  });

  test('is one machine under one name', async () => {
    const [one, two] = ['0'.repeat(32), '1'.repeat(32)];
    const { db } = database.inventory;
    const key = { hostKey: 'ssh-ed25519 one', fingerprint: 'SHA256:one' };
    const pinned = async (id: string, over: Partial<servers.NewServer> = {}) => {
      const { id: known } = await add({ id, name: id, ...over });
      await write((trx) => servers.pinHostKey(trx, known, key));
    };
    const identify = (id: string, machineId: string) => write((trx) => machines.identify(trx, id, machineId));
    const status = (id: string, to: 'active' | 'failed' | 'removed') => write((trx) => servers.setStatus(trx, id, to));
    await write((trx) => tenants.add(trx, { id: 't2', name: 'other' }));
    await pinned('v1');
    await pinned('v2', { address: '198.18.0.3' });
    await pinned('v3', { tenant: 't2' });
    expect(await identify('v1', one)).toBeNull();
    expect(await identify('v1', one)).toBeNull();
    // Nobody reads the machine's own id out of the inventory.
    expect((await servers.byId(db, 'v1')).machine).toMatch(/^(?!0{32})[0-9a-f]{64}$/);
    const twin = { name: 'v1', address: '198.18.0.2', status: 'enrolling', foreign: false };
    expect(await identify('v2', one)).toEqual(twin);
    // By the second name nobody gets in any more, also not after that.
    expect(await servers.byId(db, 'v2')).toMatchObject({ hostKey: null, hostKeyFingerprint: null, machine: null });
    expect(await failureOf(identify('v2', one))).toMatchObject({ type: 'HostKeyUnconfirmed' });
    expect(await identify('v3', one)).toMatchObject({ foreign: true });
    // Copies of an image: one has another id, the other another key.
    await pinned('v2', { address: '198.18.0.3' });
    expect(await identify('v2', two)).toBeNull();
    await add({ id: 'v4', name: 'v4' });
    await write((trx) => servers.pinHostKey(trx, 'v4', { hostKey: 'ssh-ed25519 four', fingerprint: 'SHA256:four' }));
    expect(await identify('v4', one)).toBeNull();
    // An enrolment that failed keeps no name from the machine; when it is taken up again it is the one that is refused.
    await status('v1', 'failed');
    await pinned('v3', { tenant: 't2' });
    expect(await identify('v3', one)).toBeNull();
    await status('v3', 'active');
    await pinned('v1');
    expect(await identify('v3', one)).toBeNull();
    expect(await identify('v1', one)).toMatchObject({ foreign: true, status: 'active' });
    await status('v3', 'removed');
    await pinned('v1');
    expect(await identify('v1', one)).toBeNull();
    // A name that is given to another address is no longer this machine.
    expect(await add({ id: 'v5', name: 'v1', address: '198.18.0.8' })).toMatchObject({ id: 'v1', machine: null });
  });

  test('that was removed and comes back gives no uid a second time', async () => {
    await add();
    await write((trx) => trx.updateTable('servers').set({ nextUid: 20_007 }).where('id', '=', 'v1').execute());
    await write((trx) => servers.setStatus(trx, 'v1', 'removed'));
    expect(await add({ id: 'v2', name: 'again' })).toMatchObject({ id: 'v2', nextUid: 20_007 });
    expect(await add({ id: 'v3', name: 'other', address: '198.18.0.4' })).toMatchObject({ nextUid: 20_000 });
  });

  test('gives out no uid that its host has seen', async () => {
    const { db } = database.inventory;
    await add();
    await write((trx) => servers.learnNextUid(trx, 'v1', 20_008));
    await write((trx) => servers.learnNextUid(trx, 'v1', 20_003));
    expect((await servers.byId(db, 'v1')).nextUid).toBe(20_008);
  });

  test('knows what of its protection is wanted, once it was said', async () => {
    expect(await add()).toMatchObject({ protection: null });
    const wanted = { firewall: true, updates: false, swap: true, logrotate: false };
    await write((trx) => servers.setProtection(trx, 'v1', wanted));
    expect(await servers.byId(database.inventory.db, 'v1')).toMatchObject({ protection: wanted });
    // As it was written when nobody could do without rotation.
    const before = JSON.stringify({ firewall: true, updates: false, swap: true });
    await write((trx) => trx.updateTable('servers').set({ protection: before }).execute());
    const { protection } = await servers.byId(database.inventory.db, 'v1');
    expect(protection).toEqual({ ...wanted, logrotate: true });
  });

  test('keeps the host key that was pinned', async () => {
    await add();
    await pin('SHA256:one');
    await pin('SHA256:one');
    const changed = await failureOf(pin('SHA256:two'));
    expect(changed).toMatchObject({ type: 'Conflict', message: expect.stringContaining('SHA256:one') });
  });

  test('of the same name may belong to each tenant, and to nobody once it was removed', async () => {
    await write((trx) => tenants.add(trx, { id: 't2', name: 'other' }));
    expect(await failureOf(write((trx) => tenants.add(trx, { id: 't3', name: 'other' })))).toMatchObject({
      type: 'Conflict',
    });
    await add();
    expect(await add({ id: 'v2', tenant: 't2' })).toMatchObject({ id: 'v2' });
    const { db } = database.inventory;
    expect((await servers.byName(db, 't2', 'web1')).id).toBe('v2');
    await write((trx) => servers.setStatus(trx, 'v1', 'removed'));
    expect(await failureOf(servers.byName(db, 'default', 'web1'))).toMatchObject({ type: 'NotFound' });
    expect(await add({ id: 'v4' })).toMatchObject({ id: 'v4', status: 'enrolling' });
    expect(await failureOf(write((trx) => servers.setStatus(trx, 'none', 'active')))).toMatchObject({
      type: 'NotFound',
    });
  });

  test('has one current key, kept sealed', async () => {
    const { inventory, keyring } = database;
    await write((trx) => activeServer(trx, 'web1'));
    const put = (id: string, state: 'current' | 'next') =>
      write((trx) =>
        credentials.put(trx, keyring, {
          id,
          server: 'web1',
          kind: 'server-key',
          public: `ssh-ed25519 ${id}`,
          secret: Buffer.from(`private half of ${id}`),
          state,
        }),
      );
    const states = async () => (await credentials.list(inventory.db, 'web1')).map(({ id, state }) => `${id} ${state}`);
    const first = await put('k1', 'current');
    expect(await put('k1', 'current')).toEqual(first);
    await put('k2', 'next');
    await write((trx) => credentials.makeCurrent(trx, 'k2'));
    await write((trx) => credentials.makeCurrent(trx, 'k2'));
    await put('k3', 'current');
    expect(new Set(await states())).toEqual(new Set(['k1 retired', 'k2 retired', 'k3 current']));
    const current = await credentials.current(inventory.db, 'web1', 'server-key');
    if (!current) throw new Error('There is no current key');
    expect(credentials.open(current, keyring).toString()).toBe('private half of k3');
    expect(() => credentials.open({ ...current, id: 'k1' }, keyring)).toThrow('cannot be opened');
    const stored = JSON.stringify(await inventory.db.selectFrom('credentials').selectAll().execute());
    expect(stored).not.toContain('private half');
    expect(await credentials.current(inventory.db, 'web1', 'bootstrap')).toBeNull();
    await write((trx) => credentials.remove(trx, 'k1'));
    expect(await states()).toHaveLength(2);
    // Two that are current at once are refused by the database itself.
    const both = write((trx) => trx.updateTable('credentials').set({ state: 'current' }).execute());
    expect(await failureOf(both)).toMatchObject({ type: 'Unexpected' });
  });

  test('is logged into by its own key once it is enrolled, and not before its host key is pinned', async () => {
    const { inventory, keyring } = database;
    const login = () => serverLogin(inventory.db, keyring, 'v1');
    const put = (id: string, kind: 'bootstrap' | 'server-key') =>
      write((trx) =>
        credentials.put(trx, keyring, {
          id,
          server: 'v1',
          kind,
          public: null,
          secret: Buffer.from(id),
          state: 'current',
        }),
      );
    expect(await failureOf(login())).toMatchObject({ type: 'NotFound' });
    await add();
    expect(await failureOf(login())).toMatchObject({ type: 'HostKeyUnconfirmed', details: { server: 'web1' } });
    await pin('SHA256:one');
    expect(await failureOf(login())).toMatchObject({ type: 'NotFound' });
    await put('given', 'bootstrap');
    await put('own', 'server-key');
    const { id: _, tenant: __, ...where } = web1;
    const hostKey = 'ssh-ed25519 SHA256:one';
    expect(await login()).toEqual({ ...where, hostKey, privateKey: Buffer.from('given'), keyId: 'given' });
    await write((trx) => servers.setStatus(trx, 'v1', 'active'));
    expect(await login()).toMatchObject({ privateKey: Buffer.from('own'), keyId: 'own' });
  });

  test('is not worked on without every key that sealed something', async () => {
    const { inventory, keyring } = database;
    await refuseMissingKeys(inventory, Keyring.fromObject(Keyring.generate()));
    const secret = { id: 'a1', server: null, kind: 'acme-account', public: null, state: 'current' } as const;
    await write((trx) => credentials.put(trx, keyring, { ...secret, secret: Buffer.from('x') }));
    await refuseMissingKeys(inventory, keyring);
    const refused = await failureOf(refuseMissingKeys(inventory, Keyring.fromObject(Keyring.generate())));
    expect(refused).toMatchObject({ type: 'Forbidden', message: expect.stringContaining(keyring.current) });
  });

  test('is claimed in the name of one installation', async () => {
    const second = await database.open();
    const [one, two] = await Promise.all([controllerId(database.inventory), controllerId(second)]);
    expect(one).toBe(two);
    expect(await controllerId(database.inventory)).toBe(one);
  });

  test('shares the ACME accounts with all others', async () => {
    const { inventory, keyring } = database;
    const directory = 'https://acme.example/directory';
    expect(await accounts.byDirectory(inventory.db, directory)).toBeNull();
    for (const [id, url] of [
      ['a1', 'https://acme.example/1'],
      ['a2', 'https://acme.example/2'],
    ] as const) {
      const key = { id, server: null, kind: 'acme-account', public: null, state: 'current' } as const;
      await write(async (trx) => {
        await credentials.put(trx, keyring, { ...key, secret: Buffer.from(id) });
        await accounts.put(trx, { directory, url, credential: id, contact: null });
      });
    }
    expect(await accounts.byDirectory(inventory.db, directory)).toMatchObject({
      url: 'https://acme.example/2',
      credential: 'a2',
    });
  });
});
