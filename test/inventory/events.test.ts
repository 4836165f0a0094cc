import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import type { EventType } from '../../src/inventory/event-types.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import { onBothDatabases } from './databases.js';

onBothDatabases('The outbox', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const emit = (operation: string, type: EventType, data: Record<string, unknown> = {}) =>
    write((trx) => events.emit(trx, { operation, type, tenant: 'default', server: null, site: null, data }));

  test('keeps each event of an operation once, in order, until it is delivered', async () => {
    const { db } = database.inventory;
    await emit('p1', 'SiteProvisioned', { n: 1 });
    await emit('p1', 'SiteProvisioned', { n: 2 });
    await emit('p2', 'SiteProvisioned');
    await emit('p1', 'CertificateIssued');
    const pending = await events.pending(db, 10);
    expect(pending.map(({ operation, type }) => [operation, type])).toEqual([
      ['p1', 'SiteProvisioned'],
      ['p2', 'SiteProvisioned'],
      ['p1', 'CertificateIssued'],
    ]);
    expect(pending[0]).toMatchObject({ data: { n: 1 }, deliveredAt: null });
    expect(pending.every(({ seq }) => Number.isSafeInteger(seq))).toBe(true);
    await write((trx) => events.markDelivered(trx, pending[0]?.seq ?? 0));
    expect((await events.pending(db, 1)).map(({ operation }) => operation)).toEqual(['p2']);
    expect(await events.list(db, { operation: 'p1' })).toHaveLength(2);
    expect(await events.list(db, { tenant: 'other' })).toEqual([]);
  });

  test('and what is still owed are rows: due in order, closed once', async () => {
    const { db } = database.inventory;
    const owe = (name: string, due: string) =>
      write((trx) => obligations.add(trx, { operation: 'r1', name, targets: { key: name }, due }));
    await owe('late', '2026-01-03T00:00:00.000Z');
    await owe('early', '2026-01-01T00:00:00.000Z');
    await owe('early', '2030-01-01T00:00:00.000Z');
    await owe('next', '2026-01-02T00:00:00.000Z');
    const due = async () => (await obligations.due(db, '2026-01-02T00:00:00.000Z')).map(({ name }) => name);
    expect(await due()).toEqual(['early', 'next']);
    const close = (state: 'done' | 'void') =>
      write((trx) => obligations.close(trx, { operation: 'r1', name: 'early' }, state));
    expect([await close('done'), await close('void')]).toEqual([true, false]);
    expect(await due()).toEqual(['next']);
    const all = await obligations.ofOperation(db, 'r1');
    expect(all.map(({ name, state, targets }) => [name, state, targets])).toEqual([
      ['early', 'done', { key: 'early' }],
      ['next', 'open', { key: 'next' }],
      ['late', 'open', { key: 'late' }],
    ]);
  });
});
