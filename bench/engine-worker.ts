import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import type { Deps } from '../src/activities/deps.js';
import { operationActivities } from '../src/activities/operation.js';
import { stepActivity } from '../src/activities/step.js';
import { sealedDataConverter } from '../src/client/connection.js';
import { openStores } from '../src/client/open.js';
import { wakeOperations } from '../src/client/wake.js';
import { BARE_QUEUE } from './bare-queue.js';

/** A worker of operations whose one step does nothing, with the product's own lifecycle, and beside it of bare workflows. */
const [address = '', lifecycleBundle = '', bareBundle = ''] = process.argv.slice(2);
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
});
const { inventory, keyring, config } = await openStores(process.env);
const dataConverter = sealedDataConverter(keyring);
const connection = await NativeConnection.connect({ address });
const client = new Client({ connection: await Connection.connect({ address }), dataConverter });
const nothing = async () => {};
const away = async () => await Promise.reject(new Error('there are no hosts'));
const deps: Deps = {
  ...{ inventory, keyring, config, controller: 'bench', log: pino({ level: 'silent' }) },
  hosts: { for: away, withKey: away, offeredHostKey: away, leave: nothing, close: nothing },
  wake: async (ids) => await wakeOperations(client, ids),
  restic: async () => 'restic',
};
type Activity = Parameters<typeof stepActivity>[1];
const lifecycle = Object.entries({ ...operationActivities(deps), act: nothing });
const workers = await Promise.all([
  Worker.create({
    ...{ connection, dataConverter, maxCachedWorkflows: 50, taskQueue: config.taskQueue },
    workflowBundle: { codePath: lifecycleBundle },
    activities: Object.fromEntries(lifecycle.map(([name, act]) => [name, stepActivity(deps, act as Activity)])),
  }),
  Worker.create({
    ...{ connection, maxCachedWorkflows: 50, taskQueue: BARE_QUEUE },
    workflowBundle: { codePath: bareBundle },
    activities: { nothing },
  }),
]);
process.once('disconnect', () => process.exit());
process.send?.('started');
await Promise.all(workers.map(async (worker) => await worker.run()));
