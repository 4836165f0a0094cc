import * as backups from '../inventory/backups.js';
import type { Trx } from '../inventory/database.js';
import * as deletions from '../inventory/deletions.js';
import { serverOf } from '../inventory/in-service.js';
import * as operations from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import type { DeletionPlan } from '../workflows/deletion-plan.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** The steps that decide that a site goes. Those that take it away are in clearing.ts. */
export function deletionActivities({ inventory }: Deps) {
  return {
    /** @throws Conflict the site is not in service; NotFound its server was removed */
    async checkDeletion(_step: StepContext, plan: DeletionPlan): Promise<{ suspended: boolean }> {
      const site = await sites.byId(inventory.db, plan.site);
      deletions.refuseUnready(site);
      await serverOf(inventory.db, site, { planned: plan.server });
      return { suspended: site.status === 'suspended' };
    },

    /**
     * From here on the site goes. What was made of it before is looked at in the same transaction.
     * @throws Conflict its final backup is not verified
     */
    async giveUp(step: StepContext, plan: DeletionPlan): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        if (plan.final) await expectVerified(trx, plan.final);
        await deletions.begin(trx, { site: plan.site, operation: step.operation });
        await operations.commitOperation(trx, step.operation);
      });
    },
  };
}

async function expectVerified(trx: Trx, { backup, site, domain }: NonNullable<DeletionPlan['final']>): Promise<void> {
  const { state, site: of } = await backups.byId(trx, backup);
  if (state === 'verified' && of === site) return;
  throw failure('Conflict', `The final backup ${backup} of ${domain} is ${state}`, {
    cause: 'a site is deleted once its last backup was restored for a trial',
    next: `chom backup show ${backup}`,
  });
}
