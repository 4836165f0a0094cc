import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import type { Deps } from '../../src/activities/deps.js';
import { repositoryActivities, type RepositoryPlan } from '../../src/activities/repository.js';
import { createHosts } from '../../src/host/pool.js';
import { controllerId } from '../../src/inventory/keys.js';
import { serverLogin } from '../../src/inventory/logins.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import type { Rig } from './rig.js';

/** prepareRepository as a worker does it in a step of an operation on the site, and the end of that operation. */
export async function prepareRepository(rig: Rig, plan: RepositoryPlan, operation: string): Promise<string> {
  const { inventory, keyring, config } = rig;
  const log = pino({ level: 'silent' });
  const hosts = createHosts({ resolve: (id) => serverLogin(inventory.db, keyring, id), log });
  const controller = await controllerId(inventory);
  const deps: Deps = {
    inventory,
    keyring,
    config,
    controller,
    hosts,
    log,
    wake: async () => {},
    restic: async () => 'restic',
  };
  const { tenant, server, site } = plan;
  await inventory.transaction(async (trx) => {
    await operations.ask(trx, keyring, {
      ...{ id: operation, kind: 'issue-certificate', input: {}, tenant, server, site },
      ...{ cluster: 'test', namespace: 'default' },
    });
    await places.enter(trx, { root: operation, tenant, server, site, priority: 'default', exclusive: false });
  });
  const run = `run-${operation}`;
  const { epoch } = await operations.begin(inventory, { operation, run });
  const step = { operation, root: operation, kind: 'issue-certificate', epoch, index: 1, label: 'test', attempt: 1 };
  const workflowExecution = { workflowId: operation, runId: run };
  const environment = new MockActivityEnvironment({ workflowExecution }, { logger: new DefaultLogger('ERROR') });
  try {
    const { prepareRepository: activity } = repositoryActivities(deps);
    const { repository } = (await environment.run(activity as never, step, plan)) as { repository: string };
    return repository;
  } finally {
    await hosts.close();
    await inventory.transaction(async (trx) => await places.release(trx, { root: operation, server }));
  }
}
