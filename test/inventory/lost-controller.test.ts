import { expect, test } from 'vitest';
import type { Submitter } from '../../src/client/submit.js';
import { sweep } from '../../src/client/sweep.js';
import * as events from '../../src/inventory/events.js';
import { endLost, takeIn } from '../../src/inventory/lost-controller.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as remains from '../../src/inventory/remains.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import * as undos from '../../src/inventory/undos.js';
import { CERTIFICATE, UNDO } from '../../src/workflows/plans.js';
import { onBothDatabases, type TestDatabase } from './databases.js';
import { activeServer, provision, sitePlan } from './records.js';

const PAST = '2026-01-01T00:00:00.000Z';

/** One operation of each kind of unfinished: at work, committed with a child, in line, asked for, and a try of what is owed. */
async function fill({ inventory, keyring }: TestDatabase): Promise<void> {
  await inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    for (const id of ['works', 'took-effect', 'waits', 'asked', 'owes']) {
      await operations.ask(trx, keyring, provision(id));
      if (id !== 'asked') await places.enter(trx, place(id));
    }
  });
  for (const operation of ['works', 'took-effect', 'owes']) {
    await operations.begin(inventory, { operation, run: 'run' });
    const fence = { operation, run: 'run', epoch: 1 };
    await inventory.fenced(fence, async (trx) => {
      const undo = { activity: 'release', args: [operation] };
      await operations.enterStep(trx, keyring, { operation, step: 1, label: 'Reserve', undo });
      await sites.reserve(trx, sitePlan(`s-${operation}`, `${operation}.example.org`), operation);
    });
  }
  await inventory.fenced({ operation: 'took-effect', run: 'run', epoch: 1 }, async (trx) => {
    await operations.commitOperation(trx, 'took-effect');
    await sites.activate(trx, 's-took-effect');
    const inside = { parent: 'took-effect', kind: 'issue-certificate', site: 's-took-effect' } as const;
    await operations.ask(trx, keyring, provision('took-effect/certificate', inside));
  });
  await inventory.transaction(async (trx) => {
    await sites.activate(trx, 's-owes');
    await operations.conclude(trx, { operation: 'owes', run: 'run', epoch: 1 }, { outcome: 'succeeded' });
    await obligations.add(trx, { operation: 'owes', name: CERTIFICATE, targets: { site: 's-owes' }, due: PAST });
    const owed = await obligations.find(trx, { operation: 'owes', name: CERTIFICATE });
    const id = owed && (await tries.next(trx, owed, PAST));
    await operations.ask(trx, keyring, provision(id ?? '', { kind: 'issue-certificate', site: 's-owes' }));
  });
}

function place(root: string) {
  const exclusive = root === 'waits';
  return { root, tenant: 'default', server: 'web1', site: `s-${root}`, priority: 'default', exclusive } as const;
}

const TRY = `obligation/owes/${CERTIFICATE}/1`;

onBothDatabases('After the controller was lost', (database) => {
  const end = async () => await database.inventory.transaction(async (trx) => await endLost(trx));

  test('all that was under way has an outcome, once, and nothing of it is taken back by itself', async () => {
    const { inventory, keyring } = database;
    await fill(database);
    const { ended, owed } = await end();
    expect(owed).toBe(1);
    expect(Object.fromEntries(ended.map(({ id, outcome }) => [id, outcome]))).toEqual({
      ...{ works: 'failed', waits: 'failed', asked: 'failed', [TRY]: 'failed' },
      ...{ 'took-effect': 'succeeded', 'took-effect/certificate': 'failed' },
    });
    expect(await places.list(inventory.db)).toEqual([]);
    const works = await operations.byId(inventory.db, 'works');
    expect(works).toMatchObject({ state: 'ended', failureType: 'Interrupted' });
    expect(works.warnings.join()).toMatch(/^Not undone: Reserve: The controller was lost/);
    expect(works.details?.next).toContain('chom op settle works');
    expect((await events.list(inventory.db, { operation: 'works' })).map(({ type }) => type)).toContain('Alert');
    // It is on record, and void until somebody asks for it.
    expect(await undos.pending(inventory.db, keyring, 'works')).toMatchObject([
      { activity: 'release', args: ['works'] },
    ]);
    expect(await obligations.find(inventory.db, { operation: 'works', name: UNDO })).toMatchObject({ state: 'void' });
    await inventory.transaction(async (trx) => await remains.hasten(trx, 'works', PAST));
    expect(await obligations.find(inventory.db, { operation: 'works', name: UNDO })).toMatchObject({ state: 'open' });
    const statuses = (await sites.list(inventory.db)).map(({ id, status }) => [id, status]);
    expect(Object.fromEntries(statuses)).toMatchObject({ 's-took-effect': 'active', 's-owes': 'active' });
    expect(await end()).toMatchObject({ ended: [] });
  });

  test('what is owed is open, and comes to the Temporal that a worker serves next, with what was ended', async () => {
    const { inventory, keyring } = database;
    await fill(database);
    await end();
    const key = { operation: 'owes', name: CERTIFICATE };
    const owed = await obligations.find(inventory.db, key);
    expect(owed).toMatchObject({ state: 'open', tries: 1 });
    expect(Date.parse(owed?.due ?? '')).toBeGreaterThan(Date.now());
    const here = { address: '127.0.0.1:7300', namespace: 'new' };
    // Temporal is not there, which its own parts of a sweep meet; the rows are taken in all the same.
    const chom = { inventory, keyring, temporal: here } as unknown as Submitter;
    await sweep(chom);
    for (const id of ['owes', 'works', 'asked', TRY]) {
      const { cluster, namespace } = await operations.byId(inventory.db, id);
      expect([id, cluster, namespace]).toEqual([id, here.address, here.namespace]);
    }
    expect(await takeIn(inventory, { address: 'other', namespace: 'other' })).toEqual([]);
  });

  test('a try that a server refuses, for it knows newer things, is made again once it was adopted', async () => {
    const { inventory } = database;
    await fill(database);
    await inventory.transaction(async (trx) => {
      await tries.conclude(trx, TRY, { outcome: 'failed', failureType: 'StaleClaim' });
    });
    const key = { operation: 'owes', name: CERTIFICATE };
    expect(await obligations.find(inventory.db, key)).toMatchObject({ state: 'open' });
  });
});
