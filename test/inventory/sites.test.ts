import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as tenants from '../../src/inventory/tenants.js';
import type { SitePlan } from '../../src/workflows/plans.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';

onBothDatabases('A site', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const reserve = (plan: SitePlan, operation = `for-${plan.site}`) =>
    write((trx) => sites.reserve(trx, plan, operation));

  test('is reserved with its names and a UID that is never used again', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const plan = sitePlan('sone', 'example.org', { aliases: ['www.example.org'], type: 'php', php: '8.4', tls: true });
    const site = await reserve(plan);
    expect(site).toMatchObject({
      id: 'sone',
      uid: 20_000,
      domain: 'example.org',
      aliases: ['www.example.org'],
      php: '8.4',
      tls: true,
      status: 'provisioning',
      createdBy: 'for-sone',
    });
    expect(await reserve(plan)).toEqual(site);
    await write((trx) => sites.release(trx, 'sone'));
    await write((trx) => sites.release(trx, 'sone'));
    const again = await reserve(sitePlan('stwo', 'example.org', { aliases: ['www.example.org'] }));
    expect(again.uid).toBe(20_001);
    // Given up, it does not come back: its id names what may be left on the server.
    expect(await failureOf(reserve(plan))).toMatchObject({ type: 'Conflict' });
    expect((await servers.byId(database.inventory.db, 'web1')).nextUid).toBe(20_002);
  });

  test('is refused a name that another has, as domain or alias, with nothing taken', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await write((trx) => activeServer(trx, 'web2'));
    await reserve(sitePlan('sone', 'example.org', { aliases: ['www.example.org'] }));
    const other = sitePlan('stwo', 'free.example', { server: 'web2', aliases: ['www.example.org'] });
    const refused = await failureOf(reserve(other));
    expect(refused).toMatchObject({
      type: 'Conflict',
      message: 'www.example.org is taken by site example.org (sone), which is provisioning',
      details: { holder: 'for-sone', next: 'chom site show example.org' },
    });
    expect((await servers.byId(database.inventory.db, 'web2')).nextUid).toBe(20_000);
    expect(await failureOf(sites.byDomain(database.inventory.db, 'free.example'))).toMatchObject({ type: 'NotFound' });
    expect((await sites.byDomain(database.inventory.db, 'www.example.org')).id).toBe('sone');
  });

  test('is given to one of those that want its name at once', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const wanting = Array.from({ length: 8 }, (_, n) =>
      // In both orders, so that each could hold what the next one wants.
      sitePlan(`s${n}`, n % 2 ? 'a.example' : 'b.example', { aliases: [n % 2 ? 'b.example' : 'a.example'] }),
    );
    const ends = await Promise.allSettled(wanting.map((plan) => reserve(plan)));
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = ends.filter((end) => end.status === 'rejected').map(({ reason }) => reason as { type: string });
    expect(refused.map(({ type }) => type)).toEqual(Array(7).fill('Conflict'));
    expect(await sites.list(database.inventory.db)).toHaveLength(1);
  });

  test('needs a server that is ready and has its PHP', async () => {
    expect(await failureOf(reserve(sitePlan('sone', 'example.org')))).toMatchObject({ type: 'NotFound' });
    await write((trx) => activeServer(trx, 'web1'));
    expect(await failureOf(reserve(sitePlan('sone', 'example.org', { type: 'php', php: '8.1' })))).toMatchObject({
      type: 'InvalidInput',
      message: 'Server web1 does not have PHP 8.1',
      details: { cause: 'it has 8.4' },
    });
    await write((trx) => servers.setStatus(trx, 'web1', 'enrolling'));
    expect(await failureOf(reserve(sitePlan('sone', 'example.org')))).toMatchObject({
      type: 'Conflict',
      message: 'Server web1 cannot take sites: it is enrolling',
    });
    await write((trx) => servers.setStatus(trx, 'web1', 'removed'));
    expect(await failureOf(reserve(sitePlan('sone', 'example.org')))).toMatchObject({ type: 'NotFound' });
  });

  test('goes live once, and a live one is not given up', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await reserve(sitePlan('sone', 'example.org'));
    await write((trx) => sites.activate(trx, 'sone'));
    await write((trx) => sites.activate(trx, 'sone'));
    expect(await failureOf(write((trx) => sites.release(trx, 'sone')))).toMatchObject({ type: 'Bug' });
    expect((await sites.byId(database.inventory.db, 'sone')).status).toBe('active');
    await write((trx) => sites.setStatus(trx, 'sone', 'removed'));
    expect(await failureOf(write((trx) => sites.activate(trx, 'sone')))).toMatchObject({ type: 'Conflict' });
    expect(await sites.list(database.inventory.db)).toEqual([]);
    expect((await reserve(sitePlan('stwo', 'example.org'))).uid).toBe(20_001);
  });

  test('that failed is still shown by its domain, until another has it', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await reserve(sitePlan('sone', 'example.org'));
    await write((trx) => sites.release(trx, 'sone'));
    expect(await sites.byDomain(database.inventory.db, 'example.org')).toMatchObject({ id: 'sone', status: 'failed' });
    await reserve(sitePlan('stwo', 'example.org'));
    expect(await sites.byDomain(database.inventory.db, 'example.org')).toMatchObject({ id: 'stwo' });
  });

  test('of one tenant is not seen by another', async () => {
    await write((trx) => tenants.add(trx, { id: 't2', name: 'other' }));
    await write((trx) => activeServer(trx, 'web1'));
    await write((trx) => activeServer(trx, 'web2', 't2'));
    await reserve(sitePlan('sone', 'example.org'));
    const { db } = database.inventory;
    expect(await failureOf(sites.byDomain(db, 'example.org', { tenant: 't2' }))).toMatchObject({ type: 'NotFound' });
    expect(await sites.list(db, { tenant: 't2' })).toEqual([]);
    expect((await servers.list(db, { tenant: 't2' })).map(({ id }) => id)).toEqual(['web2']);
    expect(await failureOf(servers.byName(db, 't2', 'web1'))).toMatchObject({ type: 'NotFound' });
    // Neither may it use the other's server, nor learn whose a taken name is.
    const theirs = sitePlan('stwo', 'two.example', { tenant: 't2', server: 'web1' });
    expect(await failureOf(reserve(theirs))).toMatchObject({ type: 'NotFound' });
    const same = await failureOf(reserve(sitePlan('stwo', 'example.org', { tenant: 't2', server: 'web2' })));
    expect(same).toEqual({ type: 'Conflict', message: 'example.org is taken', details: {} });
  });
});
