import { expect, test } from 'vitest';
import type { Conclusion } from '../../src/inventory/conclusion.js';
import type { Fence, Trx } from '../../src/inventory/database.js';
import * as events from '../../src/inventory/events.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import * as uploads from '../../src/inventory/uploads.js';
import * as undos from '../../src/inventory/undos.js';
import { failureOf, onBothDatabases } from './databases.js';
import { activeServer, provision, sitePlan } from './records.js';

onBothDatabases('An operation', (database) => {
  const write = <Result>(fn: (trx: Trx) => Promise<Result>) => database.inventory.transaction(fn);
  const ask = (id: string, over: Partial<operations.NewOperation> = {}) =>
    write((trx) => operations.ask(trx, database.keyring, provision(id, over)));
  const begin = (operation: string, run = 'run', exclusive = false) =>
    operations.begin(database.inventory, { operation, run, exclusive });
  const fence = (operation: string, run = 'run', epoch = 1): Fence => ({ operation, run, epoch });
  const enter = (operation: string, step: number, more: { undo?: undos.JournalEntry['args']; final?: boolean } = {}) =>
    database.inventory.fenced(fence(operation), (trx) =>
      operations.enterStep(trx, database.keyring, {
        operation,
        step,
        ...(more.undo && { undo: { activity: `undo${step}`, args: more.undo } }),
        ...(more.final && { final: true }),
      }),
    );
  const conclude = (by: Fence, conclusion: Conclusion) => write((trx) => operations.conclude(trx, by, conclusion));
  const byId = (id: string) => operations.byId(database.inventory.db, id);
  const pending = (id: string) => undos.pending(database.inventory.db, database.keyring, id);
  const roots = async () => (await places.list(database.inventory.db)).map(({ root }) => root);

  test('is asked for once, however often one asks', async () => {
    const first = await ask('p1', { input: { password: 'open sesame' }, priority: 'high' });
    const again = await ask('p1', { input: { password: 'another' } });
    expect(again).toEqual(first);
    expect(first).toMatchObject({ state: 'asked', outcome: null, run: null, root: 'p1', epoch: 1, priority: 'high' });
    expect(operations.openInput(first, database.keyring)).toEqual({ password: 'open sesame' });
    expect(await failureOf(ask('p1', { kind: 'enrol-server' }))).toMatchObject({ type: 'Conflict' });
  });

  test('keeps its input and its undos sealed, each good for itself alone', async () => {
    const asked = await ask('p1', { input: { password: 'open sesame' } });
    await begin('p1');
    await enter('p1', 1, { undo: ['open sesame'] });
    const stored = JSON.stringify([
      await database.inventory.db.selectFrom('operations').selectAll().execute(),
      await database.inventory.db.selectFrom('undos').selectAll().execute(),
    ]);
    expect(stored).not.toContain('sesame');
    expect(stored).not.toContain(Buffer.from('open sesame').toString('base64url').slice(2, -2));
    const elsewhere = () => operations.openInput({ ...asked, id: 'p2' }, database.keyring);
    expect(elsewhere).toThrow('cannot be opened');
    const stranger = Keyring.fromObject(Keyring.generate());
    expect(await failureOf(undos.list(database.inventory.db, stranger, 'p1'))).toMatchObject({ type: 'Forbidden' });
  });

  test('belongs to the first run that begins it', async () => {
    await ask('p1');
    expect(await begin('p1')).toEqual({ root: 'p1', epoch: 1, granted: true });
    const { startedAt } = await byId('p1');
    expect(await begin('p1')).toEqual({ root: 'p1', epoch: 1, granted: true });
    expect(await byId('p1')).toMatchObject({ state: 'running', run: 'run', startedAt });
    expect(await failureOf(begin('p1', 'reset'))).toMatchObject({ type: 'Superseded' });
    expect(await failureOf(begin('unknown'))).toMatchObject({ type: 'NotFound' });
    await conclude(fence('p1'), { outcome: 'succeeded' });
    expect(await failureOf(begin('p1'))).toMatchObject({ type: 'Superseded' });
    expect(await failureOf(begin('p1', 'reset'))).toMatchObject({ type: 'Superseded' });
  });

  test('writes nothing for another run, a stale epoch, or after its end', async () => {
    await ask('p1');
    const touch = (by: Fence) => failureOf(database.inventory.fenced(by, (trx) => activeServer(trx, 'web9')));
    expect(await touch(fence('p1'))).toMatchObject({ type: 'Superseded' });
    await begin('p1');
    expect(await touch(fence('p1', 'reset'))).toMatchObject({ type: 'Superseded' });
    expect(await touch(fence('p1', 'run', 2))).toMatchObject({ type: 'Superseded' });
    expect(await touch(fence('unknown'))).toMatchObject({ type: 'Superseded' });
    await conclude(fence('p1'), { outcome: 'failed' });
    expect(await touch(fence('p1'))).toMatchObject({ type: 'Superseded' });
    expect(await servers.list(database.inventory.db)).toEqual([]);
  });

  test('that is a step of another works in its place, and leaves it to it', async () => {
    await ask('p1', { site: 'sone' });
    const child = { parent: 'p1', site: 'sone', kind: 'issue-certificate' } as const;
    expect(await failureOf(ask('x/c', { parent: 'x' }))).toMatchObject({ type: 'NotFound' });
    expect(await ask('p1/c', child)).toMatchObject({ root: 'p1', parent: 'p1' });
    expect(await failureOf(begin('p1/c', 'child'))).toMatchObject({ type: 'Superseded' });
    await begin('p1');
    expect(await begin('p1/c', 'child')).toEqual({ root: 'p1', epoch: 1, granted: true });
    await conclude(fence('p1/c', 'child'), { outcome: 'succeeded' });
    expect(await roots()).toEqual(['p1']);
    await ask('p1/d', child);
    await conclude(fence('p1'), { outcome: 'succeeded' });
    expect(await failureOf(begin('p1/d', 'child'))).toMatchObject({ type: 'Superseded', details: { holder: 'p1' } });
    expect(await roots()).toEqual([]);
  });

  test('ends once, with all that goes with it', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await ask('p1', { site: 'sone' });
    await begin('p1');
    await write((trx) => sites.reserve(trx, sitePlan('sone', 'example.org'), 'p1'));
    const conclusion: Conclusion = {
      outcome: 'succeeded',
      warnings: ['late'],
      steps: [{ label: 'Activate' }],
      events: [
        { type: 'SiteProvisioned', data: { domain: 'example.org' } },
        { type: 'CertificateIssued', data: {} },
      ],
      obligations: [{ name: 'look-again', targets: { site: 'sone' }, due: '2026-01-01T00:00:00.000Z' }],
      siteStatus: 'active',
    };
    expect(await conclude(fence('p1'), conclusion)).toEqual({
      outcome: 'succeeded',
      recorded: true,
      granted: [],
    });
    const ended = await byId('p1');
    expect(await conclude(fence('p1'), { ...conclusion, outcome: 'failed' })).toEqual({
      outcome: 'succeeded',
      recorded: false,
      granted: [],
    });
    expect(await byId('p1')).toEqual(ended);
    expect(await failureOf(conclude(fence('p1', 'reset'), conclusion))).toMatchObject({ type: 'Superseded' });
    expect(ended).toMatchObject({ state: 'ended', warnings: ['late'], steps: [{ label: 'Activate' }] });
    const emitted = await events.list(database.inventory.db, { operation: 'p1' });
    expect(emitted.map(({ type, site, data }) => [type, site, data])).toEqual([
      ['SiteProvisioned', 'sone', { domain: 'example.org' }],
      ['CertificateIssued', 'sone', {}],
    ]);
    expect(await obligations.ofOperation(database.inventory.db, 'p1')).toHaveLength(1);
    expect((await sites.byId(database.inventory.db, 'sone')).status).toBe('active');
    expect(await roots()).toEqual([]);
  });

  test('leaves nothing of its end when a part of it is refused', async () => {
    await ask('p1', { server: 'nowhere' });
    await begin('p1');
    const half: Conclusion = { outcome: 'failed', events: [{ type: 'Alert', data: {} }], serverStatus: 'active' };
    expect(await failureOf(conclude(fence('p1'), half))).toMatchObject({ type: 'NotFound' });
    expect(await byId('p1')).toMatchObject({ state: 'running', outcome: null });
    expect(await events.list(database.inventory.db)).toEqual([]);
    expect(await roots()).toEqual(['p1']);
  });

  test('that was committed journals no more and ends well or not at all', async () => {
    await ask('p1');
    await begin('p1');
    await enter('p1', 1, { undo: ['a'] });
    await enter('p1', 2, { final: true });
    expect(await byId('p1')).toMatchObject({ committing: 2, committed: false });
    await database.inventory.fenced(fence('p1'), (trx) => operations.commitOperation(trx, 'p1'));
    await enter('p1', 3, { undo: ['b'] });
    expect((await pending('p1')).map(({ step }) => step)).toEqual([1]);
    const turned = database.inventory.fenced(fence('p1'), (trx) => operations.turnBack(trx, 'p1'));
    expect(await turned).toEqual({ committed: true });
    const undone = database.inventory.fenced(fence('p1'), (trx) =>
      operations.markUndone(trx, { operation: 'p1', step: 1 }),
    );
    expect(await failureOf(undone)).toMatchObject({ type: 'Bug' });
    expect(await failureOf(conclude(fence('p1'), { outcome: 'cancelled' }))).toMatchObject({ type: 'Bug' });
    expect(await conclude(fence('p1'), { outcome: 'succeeded' })).toMatchObject({ recorded: true });
  });

  test('that goes back can be committed by nobody any more', async () => {
    await ask('p1');
    await begin('p1');
    await enter('p1', 1, { undo: ['a'] });
    await enter('p1', 2, { final: true });
    const turned = database.inventory.fenced(fence('p1'), (trx) => operations.turnBack(trx, 'p1'));
    expect(await turned).toEqual({ committed: false });
    const late = database.inventory.fenced(fence('p1'), (trx) => operations.commitOperation(trx, 'p1'));
    expect(await failureOf(late)).toMatchObject({ type: 'Superseded' });
    expect(await failureOf(enter('p1', 3, { undo: ['b'] }))).toMatchObject({ type: 'Superseded' });
    expect(await pending('p1')).toMatchObject([{ step: 1, activity: 'undo1', args: ['a'], state: 'journalled' }]);
  });

  test('that failed gives its names back, unless something of it is left', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    const fail = async (id: string, site: string, reason: string | null) => {
      await ask(id, { site });
      await begin(id);
      await enter(id, 1, { undo: [site] });
      await write((trx) => sites.reserve(trx, sitePlan(site, 'example.org'), id));
      const mark = { operation: id, step: 1, reason };
      await database.inventory.fenced(fence(id), (trx) => operations.markUndone(trx, mark));
      await conclude(fence(id), { outcome: 'failed', siteStatus: 'failed' });
    };
    await fail('p1', 'sone', null);
    await fail('p2', 'stwo', 'the server is away');
    const { db } = database.inventory;
    expect(await sites.byId(db, 'sone')).toMatchObject({ uid: 20_000, status: 'failed' });
    expect(await sites.byId(db, 'stwo')).toMatchObject({ uid: 20_001, status: 'failed' });
    expect(await pending('p2')).toMatchObject([{ step: 1, state: 'failed', reason: 'the server is away' }]);
    await ask('p3', { site: 'sthree' });
    const taken = write((trx) => sites.reserve(trx, sitePlan('sthree', 'example.org'), 'p3'));
    expect(await failureOf(taken)).toMatchObject({ type: 'Conflict', details: { holder: 'p2' } });
  });

  test('that failed harms neither another site nor an enrolled server', async () => {
    await write((trx) => activeServer(trx, 'web1'));
    await write((trx) => sites.reserve(trx, sitePlan('sone', 'example.org'), 'p1'));
    await ask('p2', { site: 'sone' });
    await begin('p2');
    await conclude(fence('p2'), { outcome: 'failed', siteStatus: 'failed', serverStatus: 'failed' });
    expect((await sites.byDomain(database.inventory.db, 'example.org')).status).toBe('provisioning');
    expect((await servers.byId(database.inventory.db, 'web1')).status).toBe('active');
  });

  test('is cancelled by its row alone only before it begins', async () => {
    await write(async (trx) => {
      await operations.ask(trx, database.keyring, provision('p1', { site: 'sone' }));
      // As one is asked for whose place is free.
      const priority = 'default' as const;
      await places.enter(trx, {
        root: 'p1',
        tenant: 'default',
        server: 'web1',
        site: 'sone',
        priority,
        exclusive: false,
      });
    });
    const content = (async function* () {
      yield await Promise.resolve(Buffer.from('a site'));
    })();
    await uploads.put(database, 'p1', content, { limitBytes: 100 });
    expect(await write((trx) => operations.cancelAsked(trx, 'p1'))).toEqual([]);
    expect(await database.inventory.db.selectFrom('uploads').selectAll().execute()).toEqual([]);
    expect(await write((trx) => operations.cancelAsked(trx, 'p1'))).toBeNull();
    expect(await byId('p1')).toMatchObject({ state: 'ended', outcome: 'cancelled' });
    expect(await roots()).toEqual([]);
    const late = await failureOf(begin('p1'));
    expect(late).toMatchObject({ type: 'Superseded', details: { cause: 'it has already been cancelled' } });
    await ask('p2', { site: 'sone' });
    await begin('p2');
    expect(await write((trx) => operations.cancelAsked(trx, 'p2'))).toBeNull();
  });

  test('is listed newest first, found when it is lost, and seen by its tenant alone', async () => {
    for (const id of ['p1', 'p2', 'p3']) await ask(id, { tenant: id === 'p2' ? 'other' : 'default', site: id });
    await begin('p1');
    const ids = async (filter: operations.OperationFilter) =>
      (await operations.list(database.inventory.db, filter)).map(({ id }) => id);
    expect((await ids({})).toSorted().toReversed()).toEqual(await ids({}));
    expect(await ids({ tenant: 'other' })).toEqual(['p2']);
    expect(await ids({ tenant: 'default', state: 'running' })).toEqual(['p1']);
    expect(await ids({ limit: 1 })).toEqual(['p3']);
    const later = new Date(Date.now() + 1000).toISOString();
    expect((await operations.lost(database.inventory.db, later)).map(({ id }) => id)).toEqual(['p2', 'p3']);
    expect(await operations.lost(database.inventory.db, '2000-01-01T00:00:00.000Z')).toEqual([]);
  });
});
