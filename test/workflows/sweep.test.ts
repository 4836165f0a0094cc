import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newOperationId } from '../../src/client/submit.js';
import { startLost } from '../../src/client/sweep.js';
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
async function askOnly(cluster = 'test'): Promise<string> {
  const id = newOperationId('provision-site');
  const { kind, input, tenant } = request([plain('one')]);
  const where = { cluster, namespace: 'default', tenant, server: 'srv-a', site: null };
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
