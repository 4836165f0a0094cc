import { expect, test } from 'vitest';
import type { Conclusion } from '../../src/inventory/conclusion.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as remains from '../../src/inventory/remains.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import type { Trx } from '../../src/inventory/database.js';
import type { FailureType } from '../../src/workflows/failures.js';
import { UNDO } from '../../src/workflows/plans.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, provision, sitePlan } from './records.js';

const OWED = { operation: 'p1', name: UNDO };
const PLAN = sitePlan('sone', 'example.org');
const FAILED: Conclusion = { outcome: 'failed', failureType: 'Unreachable', siteStatus: 'failed' };

onBothDatabases('What an operation could not take back', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const owed = async () => await obligations.find(database.inventory.db, OWED);
  const again = sitePlan('stwo', 'example.org');
  const taken = () => failureOf(write((trx) => sites.reserve(trx, again, 'p2')));

  /** An operation at work on the site `sone`; returns its fence. */
  async function begun(id: string, kind: 'provision-site' | 'undo-operation' = 'provision-site') {
    await write((trx) => operations.ask(trx, database.keyring, provision(id, { kind, site: 'sone' })));
    const { epoch } = await operations.begin(database.inventory, { operation: id, run: id });
    return { operation: id, run: id, epoch };
  }

  const end = async (fence: Awaited<ReturnType<typeof begun>>, conclusion: Conclusion) =>
    await write((trx) => operations.conclude(trx, fence, conclusion));

  /** A site that was not finished: of two steps, `left` are not taken back. */
  async function failed(left: readonly number[], conclusion = FAILED) {
    await write((trx) => activeServer(trx, 'web1'));
    const fence = await begun('p1');
    await write(async (trx) => {
      await sites.reserve(trx, PLAN, 'p1');
      for (const step of [1, 2]) {
        const undo = { activity: `undo-${step}`, args: [PLAN] };
        await operations.enterStep(trx, database.keyring, { operation: 'p1', step, label: `Step ${step}`, undo });
      }
      for (const step of [2, 1]) {
        const reason = left.includes(step) ? 'the server is away' : null;
        await operations.markUndone(trx, { operation: 'p1', step, reason });
      }
    });
    await end(fence, conclusion);
  }

  async function tried(n: number, at = '2999-01-01T00:00:00.000Z') {
    const seen = await owed();
    const id = await write(async (trx) => seen && (await tries.next(trx, seen, at)));
    expect(id).toBe(tries.tryId(OWED, n));
    return await begun(tries.tryId(OWED, n), 'undo-operation');
  }

  test('is owed in the transaction of its outcome, minutes later, with all that is left of it', async () => {
    const before = Date.now();
    await failed([1, 2]);
    expect(await owed()).toMatchObject({ state: 'open', tries: 0, targets: { server: 'web1', site: 'sone' } });
    expect(Date.parse((await owed())?.due ?? '') - before).toBeGreaterThanOrEqual(300_000);
    const { operation } = await tried(1);
    const left = await remains.ofTry(database.inventory.db, database.keyring, operation);
    const one = { operation: 'p1', root: 'p1', step: 1, label: 'Step 1', undo: { activity: 'undo-1', args: [PLAN] } };
    expect(left).toEqual([{ ...one, step: 2, label: 'Step 2', undo: { ...one.undo, activity: 'undo-2' } }, one]);
    const shown = await Promise.all(
      [{ site: 'sone' }, { server: 'web1' }, { operation: 'p1' }].map(
        async (of) => await obligations.stillOpen(database.inventory.db, of),
      ),
    );
    expect(shown.map((all) => all.map(({ name }) => name))).toEqual([[UNDO], [UNDO], [UNDO]]);
  });

  test.each([
    ['all was taken back', () => failed([])],
    ['it took effect', () => failed([1, 2], { outcome: 'succeeded' })],
  ])('is nothing where %s', async (_, happens) => {
    await happens();
    expect(await owed()).toBeNull();
  });

  test('keeps the names of its site until the last of it is gone, also from a new site of that name', async () => {
    await failed([1, 2]);
    expect(await taken()).toMatchObject({ type: 'Conflict', details: { holder: 'p1' } });
    const fence = await tried(1);
    await database.inventory.fenced(fence, (trx) =>
      remains.takenBack(trx, fence.operation, { operation: 'p1', step: 2 }),
    );
    expect(await taken()).toMatchObject({ type: 'Conflict' });
    await database.inventory.fenced(fence, (trx) =>
      remains.takenBack(trx, fence.operation, { operation: 'p1', step: 1 }),
    );
    // Whatever becomes of the try from here on.
    await write((trx) => sites.reserve(trx, again, 'p2'));
    await end(fence, { outcome: 'succeeded' });
    expect(await owed()).toMatchObject({ state: 'done' });
    expect(await sites.holding(database.inventory.db, 'example.org')).toMatchObject({ id: 'stwo' });
  });

  test('is taken back by nobody but its try, and by that no more once it is void', async () => {
    await failed([1, 2]);
    const other = await begun('p3');
    const foreign = database.inventory.fenced(other, (trx) =>
      remains.takenBack(trx, 'p3', { operation: 'p1', step: 1 }),
    );
    expect(await failureOf(foreign)).toMatchObject({ type: 'Forbidden' });
    await end(other, { outcome: 'failed' });
    const fence = await tried(1);
    const another = database.inventory.fenced(fence, (trx) =>
      remains.takenBack(trx, fence.operation, { operation: 'p3', step: 1 }),
    );
    expect(await failureOf(another)).toMatchObject({ type: 'Forbidden' });
    await write((trx) => servers.setStatus(trx, 'web1', 'removed'));
    expect(await owed()).toMatchObject({ state: 'void' });
    expect(await remains.ofTry(database.inventory.db, database.keyring, fence.operation)).toEqual([]);
  });

  test('is due again ever later, for as long as its server is away, and for ten tries where it is something else', async () => {
    await failed([1]);
    const pauses: number[] = [];
    const fail = async (n: number, failureType: FailureType) => {
      const fence = await tried(n);
      const before = Date.now();
      await end(fence, { outcome: 'failed', failureType });
      pauses.push(Math.floor((Date.parse((await owed())?.due ?? '') - before) / 60_000));
      return (await owed())?.state;
    };
    for (let n = 1; n <= 10; n += 1) expect(await fail(n, 'Unreachable')).toBe('open');
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 320, 360, 360, 360]);
    expect(await fail(11, 'HostConfigurationBroken')).toBe('void');
  });

  test('is owed again on request, where it was given up: on the server of a site that failed, as long as that is there', async () => {
    const hasten = async () => {
      const at = '2020-01-01T00:00:00.000Z';
      await write((trx) => remains.hasten(trx, 'p1', at));
      return await owed();
    };
    await failed([1]);
    expect(await hasten()).toMatchObject({ state: 'open', due: '2020-01-01T00:00:00.000Z' });
    await end(await tried(1), { outcome: 'cancelled' });
    expect(await hasten()).toMatchObject({ state: 'open' });
    const fence = await tried(2);
    await database.inventory.fenced(fence, (trx) =>
      remains.takenBack(trx, fence.operation, { operation: 'p1', step: 1 }),
    );
    await end(fence, { outcome: 'succeeded' });
    expect(await hasten()).toMatchObject({ state: 'done' });
  });

  test.each([
    ['its site is live', (trx: Trx) => sites.setStatus(trx, 'sone', 'active')],
    ['its site is gone', (trx: Trx) => sites.setStatus(trx, 'sone', 'removed')],
  ])('stays given up where %s', async (_, change) => {
    await failed([1]);
    await end(await tried(1), { outcome: 'cancelled' });
    await write(async (trx) => {
      await change(trx);
      await remains.hasten(trx, 'p1', '2020-01-01T00:00:00.000Z');
    });
    expect(await owed()).toMatchObject({ state: 'void' });
  });

  test('outlives a failure that trying again does not help, for an operator may mend what it met', async () => {
    await failed([1]);
    await end(await tried(1), { outcome: 'failed', failureType: 'HostConfigurationBroken' });
    expect(await owed()).toMatchObject({ state: 'open', tries: 1 });
    await end(await tried(2), { outcome: 'cancelled' });
    expect(await owed()).toMatchObject({ state: 'void' });
  });
});
