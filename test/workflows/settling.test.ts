import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { operationActivities } from '../../src/activities/operation.js';
import { cancelOperation } from '../../src/client/cancel.js';
import type { Chom } from '../../src/client/open.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { deathOf, settle, settleOperation, settlingId } from '../../src/client/settle.js';
import { submit } from '../../src/client/submit.js';
import { settleDead, sweep, type Failed } from '../../src/client/sweep.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { failure } from '../../src/workflows/failures.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import type { Script } from './scripted.js';
import { plain, request, world, type World } from './world.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => await chom.close());
beforeEach(() => {
  chom.silenced.length = 0;
  chom.servers.away = null;
});

const byId = async (id: string) => await operations.byId(chom.inventory.db, id);
const handle = (id: string) => chom.temporal.workflow.getHandle(id);
const outcome = async (id: string) => await until(`the outcome of ${id}`, async () => (await byId(id)).outcome);
const emitted = async (id: string) => (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);

/** Steps of which the one called `hold` waits until it is let go, and tells that it was reached; `stuck` cannot be undone. */
function held(): World & { letGo: () => void; reached: Promise<void>; stuck: Set<string> } {
  const made = world(chom, () => null);
  const { act, takeBack } = made;
  const stuck = new Set<string>();
  let letGo = () => {};
  let arrive = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  return {
    ...made,
    letGo,
    reached,
    stuck,
    async takeBack(step, name) {
      if (stuck.has(name)) throw failure('HostConfigurationBroken', `${name} is stuck`);
      await takeBack(step, name);
    },
    async act(step, name) {
      if (name !== 'hold') return await act(step, name);
      arrive();
      await gate;
      return await act(step, name);
    },
  };
}

/** An operation that stands still in its step `hold`, and what happens to it and with it. */
async function standing(
  steps: Script['steps'],
  then: (id: string, made: ReturnType<typeof held>) => Promise<void>,
  on = chom,
): Promise<void> {
  const made = held();
  await on.withWorker(made, async () => {
    const id = await submit(on, { ...request(steps), site: `s${randomUUID().slice(0, 8)}` });
    await made.reached;
    // A step that is held when the test fails would keep the worker, and the failure to itself.
    await then(id, made).finally(() => made.letGo());
  });
}

test('one that was terminated is silenced, undone in reverse, recorded, and gives its place back; once', async () => {
  await standing([plain('one'), plain('two'), plain('hold')], async (id, made) => {
    const { site, server } = await byId(id);
    const next = await submit(chom, { ...request([plain('next')]), server: server ?? '', site: site ?? '' });
    expect(await settleDead(chom)).toEqual([]);
    await handle(id).terminate();
    const both = await Promise.all([settleDead(chom), settleDead(chom)]);
    expect(both).toContainEqual([id]);
    expect(await outcome(id)).toBe('failed');
    const row = await byId(id);
    expect(row).toMatchObject({ failureType: 'Interrupted', epoch: 2, warnings: [] });
    expect(row.reason).toBe('Its workflow was terminated; what it had done was taken back');
    expect(made.takenBack).toEqual(['hold', 'two', 'one']);
    expect(chom.silenced).toEqual([{ controller: 'test', scope: `site/${site}`, root: id, epoch: 2 }]);
    expect(await emitted(id)).toEqual(['SiteProvisioningFailed', 'Alert']);
    await handle(next).result();
    // What the dead run's step still finds to write comes to nothing.
    made.letGo();
    expect(await settleDead(chom)).toEqual([]);
    await handle(settlingId(id)).result();
    expect(await byId(id)).toEqual(row);
    await chom.replayed(settlingId(id));
  });
});

test('one that had taken effect is never undone: it ends as succeeded and says what was not done', async () => {
  await standing([plain('one'), plain('commit', { final: true }), plain('hold')], async (id, made) => {
    await handle(id).terminate();
    await settleDead(chom);
    expect(await outcome(id)).toBe('succeeded');
    expect(made.takenBack).toEqual([]);
    expect((await byId(id)).warnings).toEqual([
      'Its workflow was terminated after it had taken effect: what followed was not done',
    ]);
  });
});

test('one whose settling is terminated is settled by another one', async () => {
  await standing([plain('one'), plain('hold')], async (id, made) => {
    chom.servers.away = 'Unreachable';
    await handle(id).terminate();
    await settleDead(chom);
    await until('its alert', async () => (await emitted(id)).includes('OperationUnsettled'));
    await handle(settlingId(id)).terminate();
    chom.servers.away = null;
    expect(await settleDead(chom)).toEqual([id]);
    expect(await outcome(id)).toBe('failed');
    expect(await byId(id)).toMatchObject({ epoch: 3 });
    expect(made.takenBack).toEqual(['hold', 'one']);
  });
});

test('one whose server is away keeps its place, until somebody abandons it', async () => {
  await standing([plain('one'), plain('hold')], async (id, made) => {
    chom.servers.away = 'Unreachable';
    made.stuck.add('one');
    const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
    await expect(settleOperation(client, id)).rejects.toMatchObject({ type: 'Conflict' });
    await handle(id).terminate();
    const next = { type: 'Conflict', details: [expect.objectContaining({ next: `chom op settle ${id}` })] };
    await expect(cancelOperation(client, id)).rejects.toMatchObject(next);
    await settleOperation(client, id);
    await until('its alert', async () => (await emitted(id)).includes('OperationUnsettled'));
    expect(await places.find(chom.inventory.db, id)).toMatchObject({ state: 'running', epoch: 2 });
    await settleOperation(client, id, { abandon: true });
    expect(await outcome(id)).toBe('failed');
    expect(await byId(id)).toMatchObject({
      reason:
        'Its workflow was terminated; 1 of 2 steps could not be taken back, and something of it may still run on the server',
      details: { next: `chom op show ${id}` },
      warnings: ['Not stopped on the server: The server is away', 'Not undone: one: one is stuck'],
    });
    expect(made.takenBack).toEqual(['hold']);
    expect(await places.find(chom.inventory.db, id)).toBeNull();
    await handle(settlingId(id)).result();
    await chom.replayed(settlingId(id));
    await expect(settleOperation(client, id)).rejects.toMatchObject({ type: 'Conflict' });
  });
});

test('one whose server refuses its settling, as an old copy of the inventory is, uses up no epoch', async () => {
  await standing([plain('one'), plain('hold')], async (id) => {
    const { site, server } = await byId(id);
    chom.servers.away = 'StaleClaim';
    await handle(id).terminate();
    await settleDead(chom);
    expect(await outcome(id)).toBe('failed');
    expect(await byId(id)).toMatchObject({ epoch: 2 });
    const next = await submit(chom, { ...request([plain('next')]), server: server ?? '', site: site ?? '' });
    expect(await outcome(next)).toBe('succeeded');
    expect(await byId(next)).toMatchObject({ epoch: 2 });
  });
});

test('one that only waited is recorded without anybody touching its server', async () => {
  await standing([plain('hold')], async (id, made) => {
    const { site, server } = await byId(id);
    const next = await submit(chom, { ...request([plain('next')]), server: server ?? '', site: site ?? '' });
    await until('it waits', async () => (await byId(next)).state === 'waiting');
    await handle(next).terminate();
    expect(await settleDead(chom)).toEqual([next]);
    expect(await outcome(next)).toBe('failed');
    expect(chom.silenced).toEqual([]);
    made.letGo();
    expect(await outcome(id)).toBe('succeeded');
  });
});

test('one that was terminated before its first act is settled, by the sweep and on request, and holds nobody up', async () => {
  const site = `s${randomUUID().slice(0, 8)}`;
  const { server } = request([]);
  const ask = async (name: string) => await submit(chom, { ...request([plain(name)]), server, site });
  // Nobody serves their workflows yet: the first has the place, the others stand in line.
  const [holds, waits, next] = [await ask('holds'), await ask('waits'), await ask('next')];
  const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  const unbegun = { type: 'Conflict', message: expect.stringContaining('has not begun') };
  await expect(settleOperation(client, waits)).rejects.toMatchObject(unbegun);
  expect(await settleDead(chom)).toEqual([]);
  await handle(holds).terminate();
  await handle(waits).terminate();
  await settleOperation(client, waits);
  expect(await byId(waits)).toMatchObject({ state: 'waiting', run: (await handle(waits).describe()).runId });
  expect((await settleDead(chom)).toSorted()).toEqual([holds, waits].toSorted());
  expect(await byId(holds)).toMatchObject({ state: 'running', startedAt: null });
  const made = world(chom, () => null);
  await chom.withWorker(made, async () => {
    for (const id of [holds, waits]) {
      expect(await outcome(id)).toBe('failed');
      const reason = 'Its workflow was terminated; there was nothing to take back';
      expect(await byId(id)).toMatchObject({ failureType: 'Interrupted', warnings: [], reason });
      await handle(settlingId(id)).result();
      await chom.replayed(settlingId(id));
    }
    await handle(next).result();
  });
  expect(made).toMatchObject({ done: ['next'], takenBack: [] });
  // Nothing of theirs can have reached the server.
  expect(chom.silenced).toEqual([]);
  expect(await places.list(chom.inventory.db, { server })).toEqual([]);
  expect(await settleDead(chom)).toEqual([]);
});

test('one that Temporal refuses to be asked after stops nothing for the others', async () => {
  const [odd, died] = [await submit(chom, request([])), await submit(chom, request([]))];
  await chom.inventory.transaction(async (trx) => {
    await trx.updateTable('operations').set({ run: 'no run id of its' }).where('id', '=', odd).execute();
  });
  await handle(died).terminate();
  const failures: Failed[] = [];
  expect(await settleDead(chom, failures)).toEqual([died]);
  expect(failures).toEqual([{ what: `Settle ${odd}`, error: expect.any(Error) }]);
  await chom.inventory.transaction(async (trx) => {
    await trx.updateTable('operations').set({ run: null }).where('id', '=', odd).execute();
  });
  await chom.withWorker(
    world(chom, () => null),
    async () => {
      expect(await outcome(died)).toBe('failed');
      expect(await outcome(odd)).toBe('succeeded');
    },
  );
});

/** As `temporal workflow reset` does: ends the run and has another one go on from its first task. */
async function reset(id: string, run: string): Promise<void> {
  const words = ['workflow', 'reset', '--workflow-id', id, '--run-id', run, '--type', 'FirstWorkflowTask'];
  const program = await findProgram(temporalCli);
  await promisify(execFile)(program, [...words, '--reason', 'a test', '--address', chom.address]);
}

test('a run that was made by a reset never goes on: of a running, a waiting, and an ended operation', async () => {
  await standing([plain('one'), plain('hold')], async (id, made) => {
    const { site, server } = await byId(id);
    const waits = await submit(chom, { ...request([plain('next')]), server: server ?? '', site: site ?? '' });
    await until('it waits', async () => (await byId(waits)).state === 'waiting');
    for (const each of [id, waits]) {
      await reset(each, (await byId(each)).run ?? '');
      await expect(handle(each).result()).rejects.toMatchObject({ cause: { type: 'Superseded' } });
      expect((await byId(each)).outcome).toBeNull();
    }
    expect((await settleDead(chom)).toSorted()).toEqual([id, waits].toSorted());
    expect([await outcome(id), await outcome(waits)]).toEqual(['failed', 'failed']);
    expect(made.takenBack).toEqual(['hold', 'one']);
    const ended = await byId(id);
    await reset(id, (await handle(id).describe()).runId);
    await expect(handle(id).result()).rejects.toMatchObject({ cause: { type: 'Superseded' } });
    expect(await byId(id)).toEqual(ended);
    expect(await settleDead(chom)).toEqual([]);
  });
});

test('a child that was reset, or terminated, alone is settled by its parent, which goes on', async () => {
  for (const how of ['reset', 'terminated'] as const) {
    chom.silenced.length = 0;
    await standing([plain('one'), plain('inside', { child: ['two', 'hold'] }), plain('after')], async (id, made) => {
      const child = `${id}/inside`;
      if (how === 'reset') await reset(child, (await byId(child)).run ?? '');
      else await handle(child).terminate();
      expect(await outcome(id)).toBe('succeeded');
      expect(await byId(child)).toMatchObject({ outcome: 'failed', failureType: 'Interrupted' });
      expect((await byId(child)).reason).toBe(`Its workflow was ${how}; what it had done was taken back`);
      expect(made.takenBack).toEqual(['hold', 'two']);
      // What the child's dead run still sends is refused by the server, too.
      expect(chom.silenced).toMatchObject([{ root: id, epoch: 2 }]);
      expect(made.done).toContain('after');
      expect((await byId(id)).warnings).toEqual([expect.stringContaining('issue-certificate failed')]);
      await chom.replayed(id);
    });
  }
});

test('of two that saw the same run dead one settles; what belongs to another Temporal is left alone', async () => {
  await standing([plain('hold')], async (id, made) => {
    const row = await byId(id);
    await handle(id).terminate();
    const death = { run: row.run ?? '', how: 'terminated' };
    expect(await deathOf(chom, row)).toEqual(death);
    await chom.inventory.transaction(async (trx) => {
      await trx.updateTable('operations').set({ cluster: 'elsewhere:7233' }).where('id', '=', id).execute();
    });
    expect(await settleDead(chom)).toEqual([]);
    await Promise.all([settle(chom, row, death), settle(chom, row, death)]);
    expect(await outcome(id)).toBe('failed');
    // Asked for again with what was seen then: the row has an outcome, and nothing is done twice.
    await settle(chom, row, death);
    expect(made.takenBack).toEqual(['hold']);
  });
});

test('two Temporals on one inventory: neither settles what was started on the other', async () => {
  const other = await startEnvironment(inject('scriptedBundle'), 'real', chom);
  const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  try {
    await standing([plain('one'), plain('hold')], async (here) => {
      const there = async (id: string, made: ReturnType<typeof held>) => {
        expect([(await byId(here)).cluster, (await byId(id)).cluster]).toEqual(['test', 'other']);
        // To each Temporal the other one's workflow is unknown.
        for (const one of [chom, other]) expect(await settleDead(one)).toEqual([]);
        const elsewhere = { type: 'Conflict', message: expect.stringContaining('another Temporal: other') };
        await expect(settleOperation(client, id)).rejects.toMatchObject(elsewhere);
        await expect(cancelOperation(client, id)).rejects.toMatchObject(elsewhere);
        await handle(here).terminate();
        expect(await settleDead(other)).toEqual([]);
        expect(await settleDead(chom)).toEqual([here]);
        expect(await outcome(here)).toBe('failed');
        expect(await byId(id)).toMatchObject({ state: 'running', epoch: 1 });
        made.letGo();
        expect(await outcome(id)).toBe('succeeded');
        await other.temporal.workflow.getHandle(id).result();
        await other.replayed(id);
        expect(made.takenBack).toEqual([]);
      };
      await standing([plain('one'), plain('hold')], there, other);
    });
  } finally {
    await other.close();
  }
});

test('one that is terminated between its outcome and its end stays as it ended', async () => {
  const made = world(chom, () => null);
  const product = operationActivities(chom.deps);
  let letGo = () => {};
  let arrive = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const written = new Promise<void>((resolve) => (arrive = resolve));
  const concludeOperation: typeof product.concludeOperation = async (step, conclusion) => {
    await product.concludeOperation(step, conclusion);
    arrive();
    await gate;
  };
  await chom.withWorker({ ...made, concludeOperation }, async () => {
    const id = await submit(chom, request([plain('one'), plain('commit', { final: true })]));
    try {
      await written;
      const row = await byId(id);
      expect(row).toMatchObject({ outcome: 'succeeded', epoch: 1, warnings: [] });
      expect((await handle(id).describe()).status.name).toBe('RUNNING');
      await handle(id).terminate();
      const nothing = {
        started: [],
        coordinated: [],
        woken: [],
        settling: [],
        tried: [],
        renewing: [],
        warned: [],
        failures: [],
      };
      expect(await sweep(chom)).toEqual(nothing);
      await expect(handle(settlingId(id)).describe()).rejects.toThrow();
      const { run } = row;
      // Nor by somebody who saw it dead before there was an outcome.
      await settle(chom, row, { run: run ?? '', how: 'terminated' });
      await handle(settlingId(id)).result();
      await chom.replayed(settlingId(id));
      expect(await byId(id)).toEqual(row);
      expect(await emitted(id)).toEqual([]);
      expect(await places.find(chom.inventory.db, id)).toBeNull();
    } finally {
      letGo();
    }
  });
  expect(made).toMatchObject({ done: ['one', 'commit'], takenBack: [] });
});
