import { Context } from '@temporalio/activity';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { coordinationActivities } from '../../src/activities/coordination.js';
import type { Deps } from '../../src/activities/deps.js';
import { operationActivities } from '../../src/activities/operation.js';
import { stepActivity } from '../../src/activities/step.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import { openStores } from '../../src/client/open.js';
import { submit } from '../../src/client/submit.js';
import { wakeOperations } from '../../src/client/wake.js';
import type { StepContext } from '../../src/workflows/step.js';
import { DEPLOYMENT } from './builds.js';
import type { LaterActivities } from './later-fleet.js';
import type { Script } from './scripted.js';
import { plain, world } from './world.js';

/** What it tells its parent. */
export type Word = 'started' | { what: 'begun' | 'done' | 'first' | 'last'; target: string };

/**
 * A worker of one build in a process of its own, for batches of scripted operations, to be ended as a service manager does. The
 * steps whose targets it was given to hold wait until its parent names them.
 */
const [address = '', bundle = '', buildId = '', ...hold] = process.argv.slice(2);
const say = (word: Word) => void process.send?.(word);
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
});
const { inventory, keyring, config } = await openStores(process.env);
const dataConverter = sealedDataConverter(keyring);
const connection = await NativeConnection.connect({ address });
const client = new Client({ connection: await Connection.connect({ address }), dataConverter });
const temporal = Object.assign(client, { address: 'test', namespace: 'default' });
const log = pino({ level: 'silent' });
const away = async () => await Promise.reject(new Error('there are no hosts'));
const nothing = async () => {};
const hosts = { for: away, withKey: away, offeredHostKey: away, leave: nothing, close: nothing };
const wake = async (ids: readonly string[]) => await wakeOperations(temporal, ids);
const deps: Deps = { inventory, keyring, config, hosts, controller: 'test', log, wake, restic: async () => 'restic' };

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
const members = {
  async ask(
    batch: { tenant: string; priority: 'high' | 'default' | 'low' },
    item: { target: string; operation: string | null },
  ) {
    const input: Script = { steps: [plain(item.target)], bugBefore: null };
    const where = { ...batch, server: item.target.split('-')[0] ?? '', serverName: 'web', site: item.target };
    const { tenant, priority, server, serverName, site } = where;
    const about = { tenant, priority, server, serverName, site, summary: 'scripted' };
    await submit(
      { inventory, keyring, config, temporal },
      { kind: 'provision-site', input, ...about },
      item.operation ?? '',
    );
  },
  cancel: nothing,
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
    ...coordinationActivities({ inventory, log }, members),
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
await client.connection.close();
await inventory.close();
// A channel that is listened to would keep this process alive.
process.disconnect();
