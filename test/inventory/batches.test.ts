import { expect, test } from 'vitest';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import { proceed } from '../../src/inventory/batch-progress.js';
import type { Trx } from '../../src/inventory/database.js';
import * as operations from '../../src/inventory/operations.js';
import { endLost } from '../../src/inventory/lost-controller.js';
import type { BatchRules } from '../../src/workflows/batch-plan.js';
import { failureOf, onBothDatabases } from './databases.js';
import { provision } from './records.js';

onBothDatabases('A batch', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const NO_RULES: BatchRules = { concurrency: 10, perServer: null, canary: null, failures: null };

  const add = async (id: string, servers: readonly string[], rules: Partial<BatchRules> = {}, name = id) =>
    await write(async (trx) => {
      await batches.add(trx, {
        ...{ id, kind: 'batch', name, tenant: 'default', priority: 'low', taskQueue: 'chom' },
        ...{ cluster: 'test', namespace: 'default', rules: { ...NO_RULES, ...rules } },
      });
      const items = servers.map((server, index) => {
        const target = `${index + 1}.example`;
        return { phase: 'item' as const, ordinal: index + 1, verb: 'backup.create', input: { target }, target, server };
      });
      await batchItems.add(trx, database.keyring, id, items);
    });
  const look = async (id: string) => await write(async (trx) => await proceed(trx, id, Date.now()));
  const asked = async (id: string) => (await look(id)).ask.map(({ ordinal }) => ordinal);
  const statesOf = async (id: string) => (await batchItems.list(database.inventory.db, id)).map(({ state }) => state);

  /** Asks for an item's operation and ends it. */
  const end = async (operation: string, outcome: 'succeeded' | 'failed') => {
    await write(
      async (trx) => await operations.ask(trx, database.keyring, provision(operation, { server: null, site: null })),
    );
    await operations.begin(database.inventory, { operation, run: 'run', exclusive: false });
    const fence = { operation, run: 'run', epoch: 1 };
    return await write(async (trx) => await operations.conclude(trx, fence, { outcome, reason: outcome }));
  };

  test('is at work once under its name', async () => {
    await add('batch-a', ['web1'], {}, 'nightly');
    expect(await failureOf(add('batch-b', ['web1'], {}, 'nightly'))).toMatchObject({ type: 'Conflict' });
    await write(async (trx) => await batches.change(trx, 'batch-a', { state: 'ended', outcome: 'failed' }));
    await add('batch-b', ['web1'], {}, 'nightly');
    const { db } = database.inventory;
    await write(
      async (trx) =>
        await trx
          .updateTable('batches')
          .set({ askedAt: '2026-01-01T00:00:00.000Z' })
          .where('id', '=', 'batch-a')
          .execute(),
    );
    expect(await batches.find(db, 'default', 'nightly')).toMatchObject({ id: 'batch-b' });
    expect(await batches.find(db, 'default', 'batch-a')).toMatchObject({ name: 'nightly' });
    expect(await failureOf(batches.find(db, 'other', 'nightly'))).toMatchObject({ type: 'NotFound' });
    expect(await failureOf(batches.byId(db, 'batch-a', { tenant: 'other' }))).toMatchObject({ type: 'NotFound' });
  });

  test('keeps what each of its operations is asked with sealed, good for that one alone', async () => {
    await add('batch-a', ['web1', 'web1']);
    const [one, two] = await batchItems.list(database.inventory.db, 'batch-a');
    expect(one?.input).not.toContain('1.example');
    expect(batchItems.openInput(one!, database.keyring)).toEqual({ target: '1.example' });
    expect(() => batchItems.openInput({ ...one!, input: two?.input ?? '' }, database.keyring)).toThrow();
  });

  test('begins the next ones in order, so many at once and on each server, also where the first servers are full', async () => {
    await add('batch-a', ['web1', 'web1', 'web1', 'web2', 'web2', 'web3'], { concurrency: 4, perServer: 1 });
    expect(await asked('batch-a')).toEqual([1, 4, 6]);
    // Asked for by nobody yet, they are returned again, and no others.
    expect(await asked('batch-a')).toEqual([1, 4, 6]);
    expect((await end('batch-a/1', 'succeeded')).granted).toEqual(['batch-a']);
    expect(await asked('batch-a')).toEqual([4, 6, 2]);
    expect(await statesOf('batch-a')).toEqual(['succeeded', 'running', 'pending', 'running', 'pending', 'running']);
  });

  test('ends with what its operations came to, and is opened again for those that did not succeed', async () => {
    await add('batch-a', ['web1', 'web1']);
    await look('batch-a');
    await end('batch-a/1', 'succeeded');
    await end('batch-a/2', 'failed');
    const { batch, lookAt } = await look('batch-a');
    expect({ ...batch, lookAt }).toMatchObject({ state: 'ended', outcome: 'partly', lookAt: null });
    expect(await statesOf('batch-a')).toEqual(['succeeded', 'failed']);
    expect(await write(async (trx) => await batchItems.reopen(trx, 'batch-a'))).toBe(1);
    expect(await statesOf('batch-a')).toEqual(['succeeded', 'pending']);
  });

  test('that is cancelled ends what nobody asked for, and tells what is at work', async () => {
    await add('batch-a', ['web1', 'web1', 'web1'], { concurrency: 2 });
    await look('batch-a');
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('batch-a/1'));
      await batches.change(trx, 'batch-a', { state: 'cancelling' });
    });
    const { ask, cancel } = await look('batch-a');
    expect({ ask, cancel }).toEqual({ ask: [], cancel: ['batch-a/1'] });
    expect(await statesOf('batch-a')).toEqual(['running', 'cancelled', 'cancelled']);
  });

  test('in a copy of the inventory that was restored waits for somebody to look', async () => {
    await add('batch-a', ['web1']);
    await write(async (trx) => await endLost(trx));
    expect(await batches.byId(database.inventory.db, 'batch-a')).toMatchObject({
      ...{ state: 'paused', pausedBy: 'restored', cluster: 'lost', namespace: 'lost' },
    });
    expect(await asked('batch-a')).toEqual([]);
  });

  test('of thousands is written and counted', async () => {
    await add(
      'batch-a',
      Array.from({ length: 2500 }, () => 'web1'),
    );
    const { item } = await batchItems.counts(database.inventory.db, 'batch-a');
    expect(item).toMatchObject({ pending: 2500, running: 0 });
  });
});
