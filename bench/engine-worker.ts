import { Worker } from '@temporalio/worker';
import { operationActivities } from '../src/activities/operation.js';
import { stepActivity } from '../src/activities/step.js';
import { openProcess } from '../test/workflows/worker-process.js';
import { BARE_QUEUE } from './bare-queue.js';

/** A worker of operations whose one step does nothing, with the product's own lifecycle, and beside it of bare workflows. */
const [address = '', lifecycleBundle = '', bareBundle = ''] = process.argv.slice(2);
const { stores, connection, dataConverter, deps } = await openProcess(address);
const { config } = stores;
const nothing = async () => {};
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
