import { expect, test } from 'vitest';
import type { Trx } from '../../src/inventory/database.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { busy, whereabouts } from '../../src/inventory/whereabouts.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, provision } from './records.js';

onBothDatabases('A place in line', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const begin = (operation: string, exclusive = false, run = `run-${operation}`) =>
    operations.begin(database.inventory, { operation, run, exclusive });
  const enter = (root: string, site: string | null, more: Partial<places.Claimant> = {}) =>
    write(async (trx) => {
      await operations.ask(trx, database.keyring, provision(root, { site }));
      const rest = { tenant: 'default', server: 'web1', priority: 'default', exclusive: false } as const;
      return await places.enter(trx, { root, site, ...rest, ...more });
    });
  const end = (operation: string, epoch: number) =>
    write((trx) => operations.conclude(trx, { operation, run: `run-${operation}`, epoch }, { outcome: 'succeeded' }));
  const line = async () => (await places.list(database.inventory.db)).map(({ root, state }) => `${root} ${state}`);

  test('is that of the asking; who is told of one takes it up, at an epoch of its own', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    expect(await enter('p1', 'sone')).toMatchObject({ state: 'running', epoch: 1, acknowledged: 1 });
    expect(await enter('p2', 'sone')).toMatchObject({ state: 'waiting', epoch: 0 });
    expect(await enter('p3', 'sone')).toMatchObject({ state: 'waiting', epoch: 0 });
    expect(await begin('p3')).toEqual({ root: 'p3', epoch: 1, granted: false, position: 2 });
    expect(await begin('p1')).toEqual({ root: 'p1', epoch: 1, granted: true });
    expect(await operations.byId(database.inventory.db, 'p3')).toMatchObject({ state: 'waiting', startedAt: null });
    expect((await end('p1', 1)).granted).toEqual(['p2']);
    // The message may have been lost with its sender: asked again it is named again, until it knows.
    expect((await end('p1', 1)).granted).toEqual(['p2']);
    expect(await begin('p2')).toEqual({ root: 'p2', epoch: 2, granted: true });
    expect((await end('p1', 1)).granted).toEqual([]);
    expect(await begin('p3')).toMatchObject({ granted: false });
    expect((await end('p2', 2)).granted).toEqual(['p3']);
    expect(await begin('p3')).toEqual({ root: 'p3', epoch: 3, granted: true });
    expect(await operations.byId(database.inventory.db, 'p3')).toMatchObject({ state: 'running', epoch: 3 });
    expect(await line()).toEqual(['p3 running']);
  });

  test('says who is in the way and how many wait; who may not wait is refused with that', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await enter('p1', 'sone');
    await enter('p2', 'stwo');
    await enter('p3', 'sone');
    await enter('p4', 'sone', { priority: 'high' });
    const { db } = database.inventory;
    expect(await whereabouts(db, 'p1')).toBeNull();
    const where = await whereabouts(db, 'p3');
    expect(where).toMatchObject({ position: 2, waiting: 2, inTheWay: [{ operation: 'p1', kind: 'provision-site' }] });
    const refused = await failureOf(Promise.reject(busy(where!)));
    expect(refused).toMatchObject({ type: 'Busy', details: { holder: 'p1' } });
    expect(refused.message).toMatch(/provision-site \(p1\) is at work since \d{4}-.* and 1 more wait$/);
    await enter('e1', null, { exclusive: true });
    const all = (await whereabouts(db, 'e1'))?.inTheWay.map(({ operation }) => operation);
    expect(all).toEqual(['p1', 'p2']);
  });

  test('is bounded on a server, and on one server alone', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await write((trx) => activeServer(trx, 'web2'));
    for (let n = 1; n <= 5; n += 1) await enter(`p${n}`, `s${n}`);
    expect(await whereabouts(database.inventory.db, 'p5')).toMatchObject({ position: 1, waiting: 1 });
    expect(await enter('q1', 'sq', { server: 'web2' })).toMatchObject({ state: 'running' });
    await begin('p2');
    expect((await end('p2', 1)).granted).toEqual(['p5']);
  });

  test('of one that wants the server alone comes when all others have ended, and before those who came later', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await enter('p1', 'sone');
    await enter('e1', null, { exclusive: true });
    await enter('p2', 'stwo');
    await begin('p1');
    expect((await end('p1', 1)).granted).toEqual(['e1']);
    expect(await begin('e1', true)).toEqual({ root: 'e1', epoch: 1, granted: true });
    expect(await line()).toEqual(['e1 running', 'p2 waiting']);
    expect((await end('e1', 1)).granted).toEqual(['p2']);
  });

  test('is left by who waits, and by who was given it just before', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    for (const id of ['p1', 'p2', 'p3', 'p4']) await enter(id, 'sone');
    for (const id of ['p1', 'p2', 'p3']) await begin(id);
    expect((await end('p2', 1)).granted).toEqual([]);
    expect((await end('p1', 1)).granted).toEqual(['p3']);
    // It ends without having known, at the epoch that it knows.
    expect((await end('p3', 1)).granted).toEqual(['p4']);
    expect(await write((trx) => operations.cancelAsked(trx, 'p4'))).toEqual([]);
    expect(await line()).toEqual([]);
  });

  test('is given back while an operation only waits, and taken again at a higher epoch', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await enter('p1', 'sone');
    await enter('p2', 'sone');
    const { epoch } = await begin('p1');
    const fence = { operation: 'p1', run: 'run-p1', epoch };
    const leave = () => database.inventory.fenced(fence, (trx) => operations.leave(trx, 'p1'));
    expect(await leave()).toEqual(['p2']);
    expect(await leave()).toEqual(['p2']);
    expect(await begin('p2')).toMatchObject({ granted: true, epoch: 2 });
    expect(await begin('p1')).toMatchObject({ granted: false });
    await end('p2', 2);
    expect(await begin('p1')).toMatchObject({ granted: true, epoch: 3 });
    await database.inventory.fenced({ ...fence, epoch: 3 }, (trx) =>
      operations.enterStep(trx, database.keyring, { operation: 'p1', step: 1, undo: { activity: 'undo', args: [] } }),
    );
    const work = database.inventory.fenced({ ...fence, epoch: 3 }, (trx) => operations.leave(trx, 'p1'));
    expect(await failureOf(work)).toMatchObject({ type: 'Bug' });
  });

  test('passes, with all that was journalled, to one who settles; the dead run may write nothing more', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const { inventory, keyring } = database;
    await enter('p1', 'sone');
    await begin('p1');
    const dead = { operation: 'p1', run: 'run-p1', epoch: 1 };
    const undo = (step: number) => ({ activity: `undo${step}`, args: ['sone'] });
    for (const step of [1, 2]) {
      const entry = { operation: 'p1', step, label: `Step ${step}`, undo: undo(step) };
      await inventory.fenced(dead, (trx) => operations.enterStep(trx, keyring, entry));
    }
    const child = provision('p1/c', { site: 'sone', parent: 'p1', kind: 'issue-certificate' });
    await write((trx) => operations.ask(trx, keyring, child));
    await operations.begin(inventory, { operation: 'p1/c', run: 'run-c' });
    const settle = (run: string, seen = { run: 'run-p1', epoch: 1 }) =>
      operations.takeOver(inventory, keyring, { operation: 'p1', seen, run });
    const taken = await settle('settling');
    expect(taken).toMatchObject({ root: 'p1', epoch: 2, server: 'web1', site: 'sone', worked: true });
    expect(taken.members.map(({ operation, undos }) => [operation, undos.map(({ label }) => label)])).toEqual([
      ['p1/c', []],
      ['p1', ['Step 2', 'Step 1']],
    ]);
    expect(await settle('settling')).toEqual(taken);
    // Two that saw the same run dead: one of them is too late.
    expect(await failureOf(settle('second'))).toMatchObject({ type: 'Superseded' });
    for (const fence of [dead, { operation: 'p1/c', run: 'run-c', epoch: 1 }]) {
      expect(await failureOf(inventory.fenced(fence, async () => {}))).toMatchObject({ type: 'Superseded' });
    }
    expect(await failureOf(begin('p1'))).toMatchObject({ type: 'Superseded' });
    // One that settles can die as well.
    expect(await settle('third', { run: 'settling', epoch: 2 })).toMatchObject({ epoch: 3 });
    for (const operation of ['p1/c', 'p1']) {
      const conclusion = { outcome: 'failed', failureType: 'Interrupted' } as const;
      await write((trx) => operations.conclude(trx, { operation, run: 'third', epoch: 3 }, conclusion));
    }
    expect(await line()).toEqual([]);
    expect(await settle('fourth', { run: 'third', epoch: 3 })).toMatchObject({ members: [] });
    // Whoever comes next has an epoch that the host has not seen.
    expect(await enter('p2', 'sone')).toMatchObject({ state: 'running', epoch: 4 });
  });

  test('gives its epoch back where the server refuses it: an old copy comes no nearer to one that is accepted', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const conclude = async (operation: string, epoch: number, conclusion: Parameters<typeof operations.conclude>[2]) =>
      await write((trx) => operations.conclude(trx, { operation, run: `run-${operation}`, epoch }, conclusion));
    await enter('p0', 'sone');
    await begin('p0');
    await end('p0', 1);
    // What waits meanwhile fares no better.
    await enter('p1', 'sone');
    await enter('p2', 'sone');
    for (const id of ['p1', 'p2', 'p3']) {
      await enter(id, 'sone');
      expect(await begin(id)).toMatchObject({ granted: true, epoch: 2 });
      await conclude(id, 2, { outcome: 'failed', failureType: 'StaleClaim' });
    }
    // One whose settling was refused, and one that failed otherwise: only the epoch of the second is used up.
    await enter('p4', 'sone');
    await begin('p4');
    await conclude('p4', 2, { outcome: 'failed', failureType: 'Interrupted', refused: true });
    await enter('p5', 'sone');
    await begin('p5');
    await conclude('p5', 2, { outcome: 'failed', failureType: 'CommandFailed' });
    expect(await enter('p6', 'sone')).toMatchObject({ epoch: 3 });
  });

  test('is taken over for a child that died, with its parent, at an epoch that no host has seen', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const { inventory, keyring } = database;
    await enter('p1', 'sone');
    await begin('p1');
    const child = provision('p1/c', { site: 'sone', parent: 'p1', kind: 'issue-certificate' });
    await write((trx) => operations.ask(trx, keyring, child));
    await operations.begin(inventory, { operation: 'p1/c', run: 'run-c' });
    const parent = { operation: 'p1', run: 'run-p1', epoch: 1 };
    const take = () => operations.takeOverChild(inventory, keyring, { child: 'p1/c', parent });
    const taken = await take();
    expect(taken).toMatchObject({ operation: 'p1/c', epoch: 2, undos: [] });
    // Temporal gives it to another worker where the first one died after it had written.
    expect(await take()).toEqual(taken);
    expect(await places.find(inventory.db, 'p1')).toMatchObject({ epoch: 2 });
    for (const stale of [parent, { operation: 'p1/c', run: 'run-c', epoch: 1 }]) {
      expect(await failureOf(inventory.fenced(stale, async () => {}))).toMatchObject({ type: 'Superseded' });
    }
    const fence = { operation: 'p1/c', run: 'run-p1', epoch: 2 };
    await write((trx) => operations.conclude(trx, fence, { outcome: 'failed', failureType: 'Interrupted' }));
    expect(
      await operations.takeOverChild(inventory, keyring, { child: 'p1/c', parent: { ...parent, epoch: 2 } }),
    ).toBeNull();
    const foreign = { operation: 'p1', run: 'another', epoch: 2 };
    const refused = operations.takeOverChild(inventory, keyring, { child: 'p1/c', parent: foreign });
    expect(await failureOf(refused)).toMatchObject({ type: 'Superseded' });
    await end('p1', 2);
  });
});
