import { z } from 'zod';
import { failure } from '../../src/workflows/failures.js';
import { operation } from '../../src/workflows/operation.js';
import { certificatePlan, serverPlan, sitePlan, type SitePlan } from '../../src/workflows/plans.js';
import type { StepContext } from '../../src/workflows/step.js';
import { steps } from '../../src/workflows/steps.js';

/** Steps that reach no host: `act` waits or fails as the test says for its target. */
export interface FollowedActivities {
  act(step: StepContext, target: string): Promise<void>;
  reserve(step: StepContext, plan: SitePlan): Promise<void>;
  activateSite(step: StepContext, site: string): Promise<void>;
  activateServer(step: StepContext, server: string): Promise<void>;
}

export { runBatch, runChain } from '../../src/workflows/run-batch.js';
export { settleOperation } from '../../src/workflows/settle-operation.js';

const followed = steps<FollowedActivities>();
const bounds = { attempts: 2, backoff: '1 second', expected: '1 minute' } as const;

/** Operations of the product's kinds and inputs, short enough to be followed in a test. */
export const issueCertificate = operation(
  'issue-certificate',
  { input: certificatePlan, ...bounds },
  async (op, plan) => {
    await op.step('Order the certificate', followed.act, [`certificate of ${plan.names[0] ?? ''}`]);
  },
);

export const provisionSite = operation('provision-site', { input: sitePlan, ...bounds }, async (op, plan) => {
  const { site, tenant, server, serverName, domain } = plan;
  await op.step('Check the request', followed.reserve, [plan]);
  await op.step('Create the user', followed.act, [domain], { undo: [followed.act, [`end of ${domain}`]] });
  await op.step('Activate', followed.activateSite, [site], { final: true });
  if (!plan.tls) return;
  const certificate = { site, tenant, server, serverName, names: [domain] };
  await op.child(issueCertificate, 'certificate', certificate, { failureIs: 'warning' });
});

export const enrolServer = operation(
  'enrol-server',
  { input: serverPlan, exclusive: true, ...bounds },
  async (op, plan) => {
    const offered = `SHA256:${'A'.repeat(43)}`;
    const question = { name: 'host-key', prompt: `Is this the host key of ${plan.name}?`, value: offered };
    const answer = plan.hostKey ?? (await op.answer(question, '1 minute'));
    if (answer !== offered) throw failure('HostKeyUnconfirmed', z.string().parse(answer), { server: plan.name });
    await op.step('Record what is there', followed.activateServer, [plan.server], { final: true });
  },
);
