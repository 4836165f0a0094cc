import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newOperationId } from '../../src/client/submit.js';
import { settlingId } from '../../src/client/settle.js';
import { startLost, sweep } from '../../src/client/sweep.js';
import * as operations from '../../src/inventory/operations.js';
import * as servers from '../../src/inventory/servers.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { plain, request, world } from './world.js';

let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'));
  await chom.inventory.transaction(async (trx) => {
    const where = { address: '192.0.2.1', port: 22, user: 'root' };
    await servers.add(trx, { id: 'srv-a', tenant: 'default', name: 'web1', ...where });
  });
});
afterAll(async () => await chom.close());

/** Writes the row and dies before the workflow is started. */
async function askOnly(cluster = 'test', server = 'srv-a'): Promise<string> {
  const id = newOperationId('provision-site');
  const { kind, input, tenant } = request([plain('one')]);
  const where = { cluster, namespace: 'default', tenant, server, site: null };
  await chom.inventory.transaction(async (trx) => {
    await operations.ask(trx, chom.keyring, { id, kind, input, ...where });
  });
  return id;
}

const inTwoMinutes = () => Date.now() + 120_000;

test('starts what was asked for by somebody who died before starting it, once', async () => {
  const id = await askOnly();
  expect(await startLost(chom)).toEqual([]);
  expect(await startLost(chom, inTwoMinutes())).toEqual([id]);
  expect(await startLost(chom, inTwoMinutes())).toEqual([]);
  const made = world(chom, () => null);
  await chom.withWorker(made, async () => await chom.temporal.workflow.getHandle(id).result());
  expect(made.done).toEqual(['one']);
  expect((await operations.byId(chom.inventory.db, id)).outcome).toBe('succeeded');
  expect(await startLost(chom, inTwoMinutes())).toEqual([]);
  await chom.replayed(id);
});

test('leaves alone what belongs to another Temporal', async () => {
  await askOnly('temporal.elsewhere:7233');
  expect(await startLost(chom, inTwoMinutes())).toEqual([]);
});

test('one that cannot be opened, or whose server is unknown, stops nothing for the others', async () => {
  const { inventory, temporal } = chom;
  const unknown = await askOnly('test', 'srv-nowhere');
  const [sealed, died, startable] = [await askOnly(), await askOnly(), await askOnly()];
  const set = async (id: string, values: { input: string } | { run: string; state: 'running' }) => {
    await inventory.transaction(async (trx) => {
      await trx.updateTable('operations').set(values).where('id', '=', id).execute();
    });
  };
  // As restored from a copy: it names another operation.
  await set(sealed, { input: (await operations.byId(inventory.db, startable)).input });
  await set(died, { run: randomUUID(), state: 'running' });
  const { failures, started, settling } = await sweep(chom, inTwoMinutes());
  expect(started).toEqual([startable]);
  expect(settling).toEqual([died]);
  const failed = Object.fromEntries(failures.map(({ what, error }) => [what, error]));
  expect(failed).toEqual({
    [`Start ${unknown}`]: expect.objectContaining({ type: 'NotFound' }),
    [`Start ${sealed}`]: expect.objectContaining({ type: 'Forbidden' }),
  });
  for (const id of [startable, settlingId(died)]) await temporal.workflow.getHandle(id).terminate();
});
