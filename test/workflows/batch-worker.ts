import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from '@temporalio/worker';
import { coordinationActivities } from '../../src/activities/coordination.js';
import { now } from '../../src/inventory/clock.js';
import * as operations from '../../src/inventory/operations.js';
import { openProcess } from './worker-process.js';

/**
 * A worker of batches alone in a process of its own, to be killed. Their operations are rows without workflows, which it ends some
 * milliseconds after they were asked for, many in one transaction: so ten thousand of them take seconds.
 */
const [address = '', bundle = ''] = process.argv.slice(2);
const { stores, connection, dataConverter, deps } = await openProcess(address);
const { inventory, keyring, config } = stores;

let asked: { operation: string; written: () => void; failed: (error: unknown) => void }[] = [];
const members = {
  async ask(_: unknown, { operation }: { operation: string | null }) {
    await new Promise<void>((written, failed) => asked.push({ operation: operation ?? '', written, failed }));
  },
  async cancel() {},
};

/** Writes down what was asked for meanwhile. */
async function write(): Promise<void> {
  const some = asked;
  asked = [];
  if (some.length === 0) return;
  const where = { tenant: 'default', server: null, site: null, cluster: 'test', namespace: 'default' };
  try {
    await inventory.transaction(async (trx) => {
      for (const { operation } of some) {
        await operations.ask(trx, keyring, { id: operation, kind: 'create-backup', input: {}, ...where });
      }
    });
    for (const { written } of some) written();
  } catch (error) {
    for (const { failed } of some) failed(error);
  }
}

/** Ends what was asked for, and sends word. */
async function end(): Promise<void> {
  const open = await inventory.db.selectFrom('operations').select('id').where('outcome', 'is', null).execute();
  if (open.length === 0) return;
  await inventory.transaction(async (trx) => {
    const ids = open.map(({ id }) => id);
    const ended = trx.updateTable('operations').set({ state: 'ended', outcome: 'succeeded', endedAt: now() });
    await ended.where('id', 'in', ids).execute();
  });
  await deps.wake([...new Set(open.map(({ id }) => id.split('/')[0] ?? ''))]);
}

async function keep(what: () => Promise<void>, milliseconds: number): Promise<void> {
  for (;;) {
    await what().catch(() => undefined);
    await sleep(milliseconds);
  }
}

const worker = await Worker.create({
  connection,
  taskQueue: config.taskQueue,
  workflowBundle: { codePath: bundle },
  activities: coordinationActivities(deps, members),
  dataConverter,
});
void keep(write, 1);
void keep(end, 10);
process.send?.('started');
await worker.run();
