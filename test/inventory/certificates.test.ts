import { expect, test } from 'vitest';
import * as certificates from '../../src/inventory/certificates.js';
import type { Trx } from '../../src/inventory/database.js';
import * as sites from '../../src/inventory/sites.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, sitePlan } from './records.js';

onBothDatabases('A certificate', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const record = (id: string, site: string, notAfter: string) =>
    write((trx) =>
      certificates.record(trx, {
        id,
        site,
        names: ['example.org'],
        serial: '0a',
        fingerprint: `fingerprint-${id}`,
        issuer: 'CN=Test',
        notBefore: '2026-01-01T00:00:00.000Z',
        notAfter,
        chain: '-----BEGIN CERTIFICATE-----',
      }),
    );

  test('is recorded once, and one of a site is installed', async () => {
    const { db } = database.inventory;
    await write((trx) => activeServer(trx, 'web1'));
    await write((trx) => sites.reserve(trx, sitePlan('sone', 'example.org'), 'p1'));
    await write((trx) => sites.reserve(trx, sitePlan('stwo', 'two.example'), 'p2'));
    const first = await record('c1', 'sone', '2026-04-01T00:00:00.000Z');
    expect(first).toMatchObject({ id: 'c1', names: ['example.org'], state: 'issued' });
    expect(await record('c1', 'sone', '2026-04-01T00:00:00.000Z')).toEqual(first);
    expect(await certificates.installed(db, 'sone')).toBeNull();
    await write((trx) => certificates.markInstalled(trx, 'c1'));
    await record('c2', 'sone', '2026-03-01T00:00:00.000Z');
    await record('c3', 'stwo', '2026-02-01T00:00:00.000Z');
    await write((trx) => certificates.markInstalled(trx, 'c2'));
    await write((trx) => certificates.markInstalled(trx, 'c2'));
    await write((trx) => certificates.markInstalled(trx, 'c3'));
    expect((await certificates.installed(db, 'sone'))?.id).toBe('c2');
    const all = await certificates.list(db, { tenant: 'default' });
    expect(all.map(({ id, domain, state }) => [id, domain, state])).toEqual([
      ['c3', 'two.example', 'installed'],
      ['c2', 'example.org', 'installed'],
      ['c1', 'example.org', 'replaced'],
    ]);
    expect((await certificates.list(db, { site: 'stwo' })).map(({ id }) => id)).toEqual(['c3']);
    expect(await certificates.list(db, { tenant: 'other' })).toEqual([]);
    expect(await failureOf(certificates.byId(db, 'none'))).toMatchObject({ type: 'NotFound' });
  });
});
