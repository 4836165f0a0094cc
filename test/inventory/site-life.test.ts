import { expect, test } from 'vitest';
import * as aliases from '../../src/inventory/aliases.js';
import * as certificates from '../../src/inventory/certificates.js';
import type { Trx } from '../../src/inventory/database.js';
import * as deletions from '../../src/inventory/deletions.js';
import { expectLive } from '../../src/inventory/in-service.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as renewals from '../../src/inventory/renewals.js';
import { expectInService } from '../../src/inventory/restorable.js';
import * as sites from '../../src/inventory/sites.js';
import * as suspensions from '../../src/inventory/suspensions.js';
import { KEPT_CERTIFICATE, SITE_REMOVAL } from '../../src/workflows/deletion-plan.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';

onBothDatabases('A site', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const refused = async (fn: (trx: Trx) => Promise<unknown>) => await failureOf(write(fn));
  const one = async () => await sites.byId(database.inventory.db, 'sone');
  const owed = async () =>
    (await obligations.stillOpen(database.inventory.db, { site: 'sone' })).map(({ name }) => name);

  const made = () =>
    write(async (trx) => {
      await activeServer(trx, 'web1');
      for (const id of ['sone', 'stwo']) {
        await sites.reserve(trx, sitePlan(id, `${id}.example`, { aliases: [`www.${id}.example`] }), `p-${id}`);
        await sites.activate(trx, id);
      }
      for (const id of ['d1', 'd2']) {
        const place = { tenant: 'default', server: 'web1', site: 'sone', cluster: 'c', namespace: 'n' };
        await operations.ask(trx, database.keyring, { id, kind: 'delete-site', input: {}, ...place });
      }
    });
  const begin = (operation: string) => async (trx: Trx) => await deletions.begin(trx, { site: 'sone', operation });
  const finish = (certificate: boolean) => async (trx: Trx) =>
    await deletions.finish(trx, { site: 'sone', certificate });

  test('that is suspended is in service, takes no restore, and is what it was when that ends', async () => {
    await made();
    expect(() => suspensions.expectSuspended({ ...({} as sites.Site), status: 'active' })).toThrow('not suspended');
    await write((trx) => suspensions.begin(trx, 'sone', 'unpaid'));
    const { suspendedAt } = await one();
    await write((trx) => suspensions.begin(trx, 'sone', 'again'));
    expect(await one()).toMatchObject({ status: 'suspended', suspendedAt, suspendedReason: 'unpaid' });
    expect(sites.isLive(await one())).toBe(true);
    expectLive(await one(), 'because', 'some-operation');
    expect(await failureOf(expectInService(database.inventory.db, await one(), 'b1'))).toMatchObject({
      details: { next: 'chom site resume sone.example' },
    });
    expect(() => suspensions.expectActive({ ...({} as sites.Site), domain: 'x', status: 'suspended' })).toThrow(
      'is suspended already',
    );
    await write((trx) => suspensions.end(trx, 'sone'));
    await write((trx) => suspensions.end(trx, 'sone'));
    expect(await one()).toMatchObject({ status: 'active', suspendedAt: null, suspendedReason: null });
  });

  test('that is given up is never in service again, owes its removal alone, and keeps its names until it is gone', async () => {
    await made();
    await write((trx) => suspensions.begin(trx, 'sone', null));
    await write(async (trx) => {
      await obligations.add(trx, {
        operation: 'd2',
        name: 'undo-window',
        targets: {},
        due: '2030-01-01T00:00:00.000Z',
      });
    });
    expect(await refused(finish(true))).toMatchObject({ type: 'Bug' });
    const times = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2027-01-01T00:00:00.000Z' };
    const renewed = async () => (await renewals.list(database.inventory.db)).map(({ site }) => site);
    await write(async (trx) => {
      const named = { id: 'cert', site: 'sone', names: ['sone.example'], serial: 's', fingerprint: 'ab'.repeat(32) };
      await certificates.record(trx, { ...named, issuer: 'i', chain: 'c', ...times });
      await certificates.markInstalled(trx, 'cert');
    });
    await renewals.complete(database.inventory);
    // A suspended site is renewed.
    expect(await renewed()).toEqual(['sone']);
    await write(begin('d1'));
    await write(begin('d1'));
    expect(await one()).toMatchObject({ status: 'deleting', deletedBy: 'd1' });
    expect(sites.isLive(await one())).toBe(false);
    expect(await owed()).toEqual([SITE_REMOVAL]);
    expect(await renewed()).toEqual([]);
    expect(await refused(begin('d2'))).toMatchObject({ type: 'Conflict', details: { holder: 'd1' } });
    expect(await refused((trx) => suspensions.end(trx, 'sone'))).toMatchObject({ type: 'Conflict' });
    expect((await sites.holding(database.inventory.db, 'www.sone.example'))?.id).toBe('sone');

    const { certificateUntil } = await write(finish(true));
    expect(await write(finish(true))).toEqual({ certificateUntil });
    expect(await one()).toMatchObject({ status: 'removed', deletedBy: 'd1' });
    expect(await owed()).toEqual([KEPT_CERTIFICATE]);
    expect(await obligations.find(database.inventory.db, { operation: 'd1', name: SITE_REMOVAL })).toMatchObject({
      state: 'done',
    });
    for (const name of ['sone.example', 'www.sone.example'])
      expect(await sites.holding(database.inventory.db, name)).toBeNull();
    expect((await sites.list(database.inventory.db)).map(({ id }) => id)).toEqual(['stwo']);
  });

  test('takes the names of its new aliases, gives back what comes to nothing, and frees what it gives up', async () => {
    await made();
    const holder = async (name: string) => (await sites.holding(database.inventory.db, name))?.id ?? null;
    const before = ['www.sone.example'];
    const change = { site: 'sone', before, aliases: ['new.example'] };
    await write((trx) => aliases.take(trx, change, 'op'));
    await write((trx) => aliases.take(trx, change, 'op'));
    expect([await holder('new.example'), await holder('www.sone.example')]).toEqual(['sone', 'sone']);
    await write((trx) => aliases.giveBack(trx, 'sone'));
    expect([await holder('new.example'), await holder('www.sone.example')]).toEqual([null, 'sone']);

    const foreign = { ...change, aliases: ['www.stwo.example'] };
    expect(await refused((trx) => aliases.take(trx, foreign, 'op'))).toMatchObject({ type: 'Conflict' });
    expect(await refused((trx) => aliases.take(trx, { ...change, before: [] }, 'op'))).toMatchObject({
      message: expect.stringContaining('changed meanwhile'),
    });
    await write(async (trx) => {
      await aliases.take(trx, change, 'op');
      await aliases.record(trx, change);
    });
    expect(await one()).toMatchObject({ aliases: ['new.example'] });
    expect([await holder('new.example'), await holder('www.sone.example')]).toEqual(['sone', null]);
    await write(async (trx) => {
      await aliases.record(trx, { ...change, aliases: [] });
    });
    expect(await holder('sone.example')).toBe('sone');
  });
});
