import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { accountRollActivities } from '../../src/activities/account-roll.js';
import { certificateOrderActivities } from '../../src/activities/certificate-order.js';
import type { Deps } from '../../src/activities/deps.js';
import { readConfig } from '../../src/config.js';
import { begin } from '../../src/inventory/lifecycle.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import type { CertificatePlan } from '../../src/workflows/plans.js';
import type { StepContext } from '../../src/workflows/step.js';
import type { TestDatabase } from '../inventory/databases.js';
import { activeServer, provision, sitePlan } from '../inventory/records.js';
import { fakeAuthority } from './fake-authority.js';

const OPERATION = 'issue-certificate-1';
const SITE = 'sabcdefghi';

export const plan: CertificatePlan = {
  site: SITE,
  tenant: 'default',
  server: 'web1',
  serverName: 'web1',
  names: ['a.test'],
};

type Steps = ReturnType<typeof certificateOrderActivities> & ReturnType<typeof accountRollActivities>;
type Result<Activity> = Activity extends (...args: never[]) => Promise<infer Value> ? Value : never;
type Arguments<Activity> = Activity extends (step: StepContext, ...args: infer Args) => unknown ? Args : never;

/** An operation that has begun, an authority, and the steps of the one at the other. */
export async function acmeSteps(
  database: TestDatabase,
  settings: Record<string, string> | ((directory: string) => Record<string, string>) = {},
) {
  const fake = await fakeAuthority();
  const { inventory, keyring } = database;
  await inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await sites.reserve(trx, sitePlan(SITE, 'a.test'), 'provision-site-1');
    await operations.ask(trx, keyring, provision(OPERATION, { kind: 'issue-certificate', site: SITE }));
  });
  await begin(inventory, { operation: OPERATION, run: 'run' });
  const more = typeof settings === 'function' ? settings(fake.directory) : settings;
  const config = readConfig({ CHOM_ACME_DIRECTORY: fake.directory, CHOM_ACME_CONTACT: 'ops@example.org', ...more });
  const log = pino({ level: 'silent' });
  const deps: Deps = {
    inventory,
    keyring,
    config,
    controller: 'test',
    hosts: undefined as never,
    log,
    wake: async () => {},
    restic: async () => 'restic',
  };

  /** What one worker does; workers share the inventory alone. */
  function worker() {
    const steps = { ...certificateOrderActivities(deps), ...accountRollActivities(deps) };
    return async <Name extends keyof Steps>(
      name: Name,
      attempt: number,
      ...args: Arguments<Steps[Name]>
    ): Promise<Result<Steps[Name]>> => {
      const workflowExecution = { workflowId: OPERATION, runId: 'run' };
      const logger = new DefaultLogger('ERROR');
      const environment = new MockActivityEnvironment({ workflowExecution }, { logger });
      const kind = 'issue-certificate';
      const step = { operation: OPERATION, root: OPERATION, kind, epoch: 1, index: 1, label: name, attempt } as const;
      const act = steps[name] as (step: StepContext, ...args: unknown[]) => Promise<Result<Steps[Name]>>;
      return await environment.run(async () => await act(step, ...args));
    };
  }

  return { fake, worker };
}
