import { Context } from '@temporalio/activity';
import { Worker } from '@temporalio/worker';
import { coordinationActivities, type Members } from '../../src/activities/coordination.js';
import { operationActivities } from '../../src/activities/operation.js';
import { stepActivity } from '../../src/activities/step.js';
import type { StepContext } from '../../src/workflows/step.js';
import { askScripted } from './batch-world.js';
import { DEPLOYMENT } from './builds.js';
import type { LaterActivities } from './later-fleet.js';
import { openProcess } from './worker-process.js';
import { world } from './world.js';

/** What it tells its parent. */
export type Word = 'started' | { what: 'begun' | 'done' | 'first' | 'last'; target: string };

/**
 * A worker of one build in a process of its own, for batches of scripted operations, to be ended as a service manager does. The
 * steps whose targets it was given to hold wait until its parent names them.
 */
const [address = '', bundle = '', buildId = '', ...hold] = process.argv.slice(2);
const say = (word: Word) => void process.send?.(word);
const { stores, connection, temporal, dataConverter, deps } = await openProcess(address);
const { inventory, config } = stores;

const releases = new Map<string, () => void>();
const gates = new Map(hold.map((target) => [target, new Promise<void>((open) => releases.set(target, open))]));
process.on('message', (target) => releases.get(String(target))?.());

const steps = world({ inventory }, () => null);
const act: typeof steps.act = async (step, target) => {
  say({ what: 'begun', target });
  await Promise.race([gates.get(target), Context.current().cancelled]);
  say({ what: 'done', target });
  return await steps.act(step, target);
};
const members: Members = {
  ask: async (batch, item) => await askScripted({ ...stores, temporal }, batch, item),
  cancel: async () => {},
};
const later: LaterActivities = { tellOfBatch: async (target, what) => say({ what, target }) };
type Activity = (step: StepContext, ...args: never[]) => Promise<unknown>;
const all = [operationActivities(deps), { ...steps, act }].flatMap((group) => Object.entries(group));
const worker = await Worker.create({
  connection,
  taskQueue: config.taskQueue,
  workflowBundle: { codePath: bundle },
  activities: {
    ...Object.fromEntries(all.map(([name, activity]) => [name, stepActivity(deps, activity as Activity)])),
    ...coordinationActivities(deps, members),
    ...later,
  },
  dataConverter,
  workerDeploymentOptions: {
    useWorkerVersioning: true,
    version: { deploymentName: DEPLOYMENT, buildId },
    defaultVersioningBehavior: 'PINNED',
  },
  // What the product has, but that a step which is held is not waited for.
  shutdownGraceTime: '1 second',
  shutdownForceTime: '30 seconds',
});
say('started');
await worker.run();
await connection.close();
await temporal.connection.close();
await inventory.close();
// A channel that is listened to would keep this process alive.
process.disconnect();
