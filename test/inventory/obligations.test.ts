import { expect, test } from 'vitest';
import type { Conclusion } from '../../src/inventory/conclusion.js';
import type { Inventory, Trx } from '../../src/inventory/database.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import { onBothDatabases } from './databases.js';
import { activeServer, provision, sitePlan } from './records.js';

const DUE = '2026-01-01T00:00:00.000Z';
const NOW = '2026-01-01T00:00:01.000Z';
const OWED = { operation: 'p1/certificate', name: 'certificate' };

onBothDatabases('What is owed', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const ask = (id: string) =>
    write((trx) => operations.ask(trx, database.keyring, provision(id, { kind: 'issue-certificate', site: 'sone' })));
  const owed = async () => {
    const found = await obligations.find(database.inventory.db, OWED);
    if (!found) throw new Error('nothing is owed');
    return found;
  };
  const next = async (inventory: Inventory = database.inventory, seen?: obligations.Obligation) => {
    const known = seen ?? (await owed());
    return await inventory.transaction((trx) => tries.next(trx, known, NOW));
  };
  const end = async (id: string, conclusion: Conclusion) => {
    const run = `run of ${id}`;
    const { epoch } = await operations.begin(database.inventory, { operation: id, run });
    await write((trx) => operations.conclude(trx, { operation: id, run, epoch }, conclusion));
  };

  /** A site whose certificate is owed since a moment ago. */
  async function owe(): Promise<void> {
    await write(async (trx) => {
      await activeServer(trx, 'web1');
      await sites.reserve(trx, sitePlan('sone', 'example.org'), 'p1');
      await sites.activate(trx, 'sone');
    });
    await ask(OWED.operation);
    const { name } = OWED;
    const targets = { site: 'sone', names: ['example.org'] };
    const obligation = { name, targets, due: DUE };
    await end(OWED.operation, { outcome: 'failed', failureType: 'Deferred', obligations: [obligation] });
  }

  test('is tried once at a time, whoever sees that it is due', async () => {
    await owe();
    const seen = await owed();
    const [one, other] = [await database.open(), await database.open()];
    const first = await Promise.all([next(one, seen), next(other, seen)]);
    expect(first.filter(Boolean)).toEqual([tries.tryId(OWED, 1)]);
    expect(await owed()).toMatchObject({ tries: 1, state: 'open' });
    // Whoever counted it has not asked for it, and may be dead: it is the same try.
    expect(await next()).toBe(tries.tryId(OWED, 1));
    await ask(tries.tryId(OWED, 1));
    expect(await next()).toBeNull();
    expect(await next(one, seen)).toBeNull();
  });

  test('is due again after a try that failed, later each time, and after what the other side asked for', async () => {
    await owe();
    const tried = async (n: number, details = {}) => {
      expect(await next()).toBe(tries.tryId(OWED, n));
      await ask(tries.tryId(OWED, n));
      const before = Date.now();
      await end(tries.tryId(OWED, n), { outcome: 'failed', failureType: 'RateLimited', details });
      const after = await owed();
      expect(after).toMatchObject({ tries: n, state: 'open' });
      expect(await next()).toBeNull();
      await write((trx) => obligations.postpone(trx, OWED, DUE));
      return Math.floor((Date.parse(after.due) - before) / 3_600_000);
    };
    expect([await tried(1), await tried(2), await tried(3, { retryAfterSeconds: 12 * 3600 })]).toEqual([1, 2, 12]);
    expect(await tried(4, { retryAfterSeconds: 1e15 })).toBe(7 * 24);
    for (let n = 5; n < 10; n += 1) expect(await tried(n)).toBe(Math.min(24, 2 ** (n - 1)));
    expect(await next()).toBe(tries.tryId(OWED, 10));
    await ask(tries.tryId(OWED, 10));
    await end(tries.tryId(OWED, 10), { outcome: 'failed', failureType: 'RateLimited' });
    expect((await owed()).state).toBe('void');
  });

  test.each([
    ['NotBackedUp', 'open'],
    ['Unreachable', 'open'],
    ['ProbeFailed', 'void'],
  ] as const)('the removal of an old key that ends as %s for the tenth time is %s', async (failureType, state) => {
    const key = { operation: 'r1', name: 'old-key' };
    await write(async (trx) => {
      await activeServer(trx, 'web1');
      const rotation = provision('r1', { kind: 'rotate-credentials', site: null });
      await operations.ask(trx, database.keyring, rotation);
      await obligations.add(trx, { ...key, targets: {}, due: DUE });
      await trx.updateTable('obligations').set({ tries: 10 }).execute();
      await tries.conclude(trx, tries.tryId(key, 10), { outcome: 'failed', failureType });
    });
    expect((await obligations.find(database.inventory.db, key))?.state).toBe(state);
  });

  test.each([
    ['done with the success of a try', { outcome: 'succeeded' }, 'done'],
    ['void where trying again gives the same answer', { outcome: 'failed', failureType: 'DomainNotPointed' }, 'void'],
    ['void with the cancellation of a try', { outcome: 'cancelled' }, 'void'],
    ['open while its server is away', { outcome: 'failed', failureType: 'LoginRefused' }, 'open'],
  ] as [string, Conclusion, string][])('is %s', async (_, conclusion, state) => {
    await owe();
    const id = (await next()) ?? '';
    await ask(id);
    await end(id, conclusion);
    expect((await owed()).state).toBe(state);
    expect(await next()).toBeNull();
  });

  test('is void when its try is cancelled before it began', async () => {
    await owe();
    const id = (await next()) ?? '';
    await ask(id);
    await write((trx) => operations.cancelAsked(trx, id));
    expect((await owed()).state).toBe('void');
  });

  test.each([
    ['its site is removed', (trx: Trx) => sites.setStatus(trx, 'sone', 'removed')],
    ['its site failed', (trx: Trx) => sites.setStatus(trx, 'sone', 'failed')],
    ['its server is removed', (trx: Trx) => servers.setStatus(trx, 'web1', 'removed')],
    ['it came otherwise', (trx: Trx) => obligations.cancel(trx, { site: 'sone', name: 'certificate' })],
  ])('is void in the transaction in which %s, also for a try that is on its way', async (_, change) => {
    await owe();
    const id = (await next()) ?? '';
    expect(await tries.isVoid(database.inventory.db, id)).toBe(false);
    const rolledBack = write(async (trx) => {
      await change(trx);
      throw new Error('and nothing of it');
    });
    await expect(rolledBack).rejects.toThrow('and nothing of it');
    expect((await owed()).state).toBe('open');
    await write(async (trx) => await change(trx));
    expect((await owed()).state).toBe('void');
    expect(await tries.isVoid(database.inventory.db, id)).toBe(true);
    expect(await obligations.due(database.inventory.db, NOW)).toEqual([]);
  });

  test('stays where another site, another thing, or its own try is concerned', async () => {
    await owe();
    await write(async (trx) => {
      await sites.setStatus(trx, 'stwo', 'removed');
      await obligations.cancel(trx, { site: 'sone', name: 'something else' });
      await obligations.cancel(trx, { site: 'sone', name: 'certificate' }, tries.triedBy(tries.tryId(OWED, 1)));
    });
    expect((await owed()).state).toBe('open');
    const open = async (of: { site: string } | { operation: string }) =>
      (await obligations.stillOpen(database.inventory.db, of)).map(({ name }) => name);
    expect([await open({ site: 'sone' }), await open({ site: 'stwo' })]).toEqual([['certificate'], []]);
    expect(await open({ operation: OWED.operation })).toEqual(['certificate']);
  });

  test('is due earlier for whoever is in haste, and not later for who comes after', async () => {
    await owe();
    const hasten = async (at: string) => await write((trx) => obligations.hasten(trx, OWED, at));
    await hasten('2020-01-01T00:00:00.002Z');
    await hasten('2020-01-01T00:00:00.003Z');
    expect((await owed()).due).toBe('2020-01-01T00:00:00.002Z');
    await hasten('2020-01-01T00:00:00.001Z');
    expect((await owed()).due).toBe('2020-01-01T00:00:00.001Z');
  });
});
