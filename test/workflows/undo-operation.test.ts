import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { describeOwed } from '../../src/client/operation.js';
import { randomId, submit } from '../../src/client/submit.js';
import { sweep } from '../../src/client/sweep.js';
import { takeBackNow } from '../../src/client/tries.js';
import type { Chom } from '../../src/client/open.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as tries from '../../src/inventory/tries.js';
import * as undos from '../../src/inventory/undos.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import { UNDO } from '../../src/workflows/plans.js';
import type { Remnant } from '../../src/workflows/step.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { plain, request, world } from './world.js';

let chom: WorkflowEnvironment;
let server: string;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'));
});
afterAll(async () => await chom?.close());
beforeEach(async () => {
  server = `web-${randomId(6)}`;
  await chom.inventory.transaction(async (trx) => void (await activeServer(trx, server)));
});

const byId = async (id: string) => await operations.byId(chom.inventory.db, id);
const ended = async (id: string) =>
  await chom.temporal.workflow
    .getHandle(id)
    .result()
    .then(
      () => 'well',
      () => 'not well',
    );
const owedBy = async (operation: string) => {
  const owed = await obligations.find(chom.inventory.db, { operation, name: UNDO });
  if (!owed) throw new Error(`${operation} owes nothing`);
  return owed;
};
const later = ({ due }: { due: string }) => Date.parse(due);

/** Steps whose third fails; `fails` says how undoing the one of a name fails, if it does. */
function steps(fails: Map<string, FailureType>) {
  const made = world(chom, (name) => (name === 'three' ? 'Conflict' : null));
  const takenBackFor: (Remnant | undefined)[] = [];
  return {
    ...made,
    takenBackFor,
    async takeBack(step: Parameters<typeof made.takeBack>[0], name: string) {
      const fault = fails.get(name);
      if (fault) throw failure(fault, `${name} cannot be taken back`);
      await made.takeBack(step, name);
      takenBackFor.push(step.takesBack);
    },
  };
}

/** An operation that failed and could take back nothing, for its server is away. */
async function stranded(): Promise<string> {
  const asked = request([plain('one'), plain('two'), plain('three')]);
  const id = await submit(chom, { ...asked, server, site: `s${randomId(9)}` });
  expect(await ended(id)).toBe('not well');
  return id;
}

const AWAY = new Map<string, FailureType>(['one', 'two', 'three'].map((name) => [name, 'Unreachable']));

test('what a server that is away keeps is named, owed, and taken back in reverse when it answers again', async () => {
  const fails = new Map(AWAY);
  const made = steps(fails);
  await chom.withWorker(made, async () => {
    const id = await stranded();
    const row = await byId(id);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'Conflict', reason: 'three fails' });
    const reasons = ['three', 'two', 'one'].map((name) => `Not undone: ${name}: ${name} cannot be taken back`);
    expect(row.warnings).toEqual(reasons);
    const emitted = await events.list(chom.inventory.db, { operation: id });
    expect(emitted.map(({ type }) => type)).toEqual(['SiteProvisioningFailed', 'Alert']);
    expect(emitted[0]?.data).toMatchObject({ warnings: reasons });
    // Its place is free at once.
    expect(await places.find(chom.inventory.db, id)).toBeNull();
    const owed = await owedBy(id);
    expect(owed).toMatchObject({ state: 'open', tries: 0 });
    expect(describeOwed([owed])).toBe(`what ${id} left is taken back at ${owed.due}`);
    expect((await sweep(chom, later(owed) - 1)).tried).toEqual([]);

    const swept = await Promise.all([sweep(chom, later(owed)), sweep(chom, later(owed))]);
    const first = tries.tryId(owed, 1);
    expect(new Set(swept.flatMap(({ tried }) => tried))).toEqual(new Set([first]));
    expect(await ended(first)).toBe('not well');
    expect(await byId(first)).toMatchObject({ outcome: 'failed', failureType: 'Unreachable', priority: 'low' });
    const postponed = await owedBy(id);
    expect(postponed).toMatchObject({ state: 'open', tries: 1 });
    expect(later(postponed)).toBeGreaterThan(Date.now());
    expect(made.takenBack).toEqual([]);

    fails.clear();
    const second = tries.tryId(owed, 2);
    expect((await sweep(chom, later(postponed))).tried).toEqual([second]);
    expect(await ended(second)).toBe('well');
    expect(made.takenBack).toEqual(['three', 'two', 'one']);
    expect(made.takenBackFor).toEqual([3, 2, 1].map((step) => ({ operation: id, root: id, step })));
    expect(await undos.remaining(chom.inventory.db, id)).toBe(0);
    expect(await owedBy(id)).toMatchObject({ state: 'done' });
    expect((await sweep(chom, later(postponed) + 1e9)).tried).toEqual([]);
    for (const history of [id, first, second]) await chom.replayed(history);
  });
});

test('what one undo meets stops no other, and only what is left is tried again', async () => {
  const fails = new Map(AWAY);
  const made = steps(fails);
  await chom.withWorker(made, async () => {
    const id = await stranded();
    fails.clear();
    fails.set('two', 'HostConfigurationBroken');
    const [first = ''] = (await sweep(chom, later(await owedBy(id)))).tried;
    expect(await ended(first)).toBe('not well');
    expect(await byId(first)).toMatchObject({ failureType: 'HostConfigurationBroken' });
    expect(made.takenBack).toEqual(['three', 'one']);
    fails.clear();
    const [second = ''] = (await sweep(chom, later(await owedBy(id)))).tried;
    expect(await ended(second)).toBe('well');
    expect(made.takenBack).toEqual(['three', 'one', 'two']);
    for (const history of [first, second]) await chom.replayed(history);
  });
});

test('is taken back at once on request, by the try that is at work where there is one', async () => {
  const fails = new Map(AWAY);
  const made = steps(fails);
  const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  await chom.withWorker(made, async () => {
    const id = await stranded();
    fails.clear();
    const both = await Promise.all([takeBackNow(client, id), takeBackNow(client, id)]);
    const first = tries.tryId(await owedBy(id), 1);
    expect(both).toEqual([first, first]);
    expect(await ended(first)).toBe('well');
    expect(made.takenBack).toEqual(['three', 'two', 'one']);
    expect(await takeBackNow(client, id)).toBeNull();
    expect(await takeBackNow(client, first)).toBeNull();
    await expect(takeBackNow({ ...client, tenant: 'other' }, id)).rejects.toMatchObject({ type: 'NotFound' });
  });
});

test('takes its place in line behind whoever works on the site, and does nothing where it is owed no more', async () => {
  const fails = new Map(AWAY);
  const made = steps(fails);
  await chom.withWorker(made, async () => {
    const id = await stranded();
    fails.clear();
    const { site, tenant } = await byId(id);
    const other = { root: `other-${id}`, tenant, server, site, priority: 'default', exclusive: false } as const;
    await chom.inventory.transaction(async (trx) => void (await places.enter(trx, other)));
    const [tried = ''] = (await sweep(chom, later(await owedBy(id)))).tried;
    expect(await places.find(chom.inventory.db, tried)).toMatchObject({ state: 'waiting' });
    await expect.poll(async () => (await byId(tried)).state).toBe('waiting');
    expect(made.takenBack).toEqual([]);
    await chom.inventory.transaction(async (trx) => {
      await obligations.cancel(trx, { site: site ?? '', name: UNDO });
      await places.release(trx, other);
    });
    expect((await sweep(chom)).woken).toContain(tried);
    expect(await ended(tried)).toBe('well');
    expect(await byId(tried)).toMatchObject({ warnings: ['What it was to take back is owed no more'] });
    expect(made.takenBack).toEqual([]);
    await chom.replayed(tried);
  });
});
