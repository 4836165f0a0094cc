import { Worker } from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Deps } from '../../src/activities/deps.js';
import { operationActivities } from '../../src/activities/operation.js';
import { settlingActivities } from '../../src/activities/settling.js';
import { stepActivity } from '../../src/activities/step.js';
import { wakeForgotten } from '../../src/client/sweep.js';
import type { StepContext } from '../../src/workflows/step.js';
import { openProcess } from './worker-process.js';
import { world } from './world.js';

/**
 * A worker of scripted operations in a process of its own, to be killed. Every fifth message that an operation has its
 * place is lost; what the product's sweep does every minute it does every two seconds. It tells its parent when it finds the
 * inventory away.
 */
const [address = '', bundle = ''] = process.argv.slice(2);
const { stores, connection, temporal, dataConverter, deps: plain } = await openProcess(address);
const { inventory, config } = stores;
let messages = 0;
const deps: Deps = {
  ...plain,
  wake: async (ids) => await plain.wake(ids.filter(() => (messages += 1) % 5 !== 0)),
};
const steps = world({ inventory }, () => null);
const all = [operationActivities(deps), settlingActivities(deps), steps].flatMap((group) => Object.entries(group));
type Activity = (step: StepContext, ...args: never[]) => Promise<unknown>;
const worker = await Worker.create({
  connection,
  taskQueue: config.taskQueue,
  workflowBundle: { codePath: bundle },
  activities: Object.fromEntries(all.map(([name, act]) => [name, telling(stepActivity(deps, act as Activity))])),
  dataConverter,
  maxCachedWorkflows: 50,
});
void sweeping();
process.send?.('started');
await worker.run();

function telling<Args extends unknown[], Result>(act: (...args: Args) => Promise<Result>) {
  return async (...args: Args): Promise<Result> => {
    try {
      return await act(...args);
    } catch (error) {
      if (error instanceof ApplicationFailure && error.type === 'InventoryUnavailable') process.send?.('away');
      throw error;
    }
  };
}

async function sweeping(): Promise<void> {
  for (;;) {
    await wakeForgotten({ ...stores, temporal }).catch(() => undefined);
    await sleep(2000);
  }
}
