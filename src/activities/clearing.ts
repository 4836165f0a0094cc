import { stopBackground } from '../host/background.js';
import { pairPaths } from '../host/certificate.js';
import { dropDatabase } from '../host/database.js';
import { isKept, keepPair, removeKeptPair } from '../host/kept-certificate.js';
import { unpublishSite } from '../host/nginx-site.js';
import { stopPhp } from '../host/php-fpm.js';
import { removeAllRestored } from '../host/restore-removal.js';
import { removeRemains } from '../host/site-remains.js';
import { removeUser } from '../host/user.js';
import * as deletions from '../inventory/deletions.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import * as tries from '../inventory/tries.js';
import { type DiscardPlan, KEPT_CERTIFICATE } from '../workflows/deletion-plan.js';
import { failure } from '../workflows/failures.js';
import type { RepairPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { phpSite } from './site.js';
import { fence, siteServer } from './workplace.js';

/**
 * The steps that take a site away which was given up. Each succeeds where there is nothing, and touches nothing that is not
 * the site's.
 */
export function clearingActivities(deps: Deps) {
  const { inventory } = deps;

  /** A step that is late, or was made by somebody else, must not take a site away that is in service. */
  async function givenUp(step: StepContext, plan: RepairPlan) {
    const { uid, status, domain } = await sites.byId(inventory.db, plan.site);
    if (status !== 'deleting') throw failure('Forbidden', `Site ${domain} is ${status}: it is not taken away`);
    return { place: await siteServer(deps, step, plan), uid };
  }

  return {
    /** Whether anything is still to be done. @throws Forbidden the site was not given up */
    async lookForRemoval(step: StepContext, plan: RepairPlan): Promise<boolean> {
      if (await tries.isVoid(inventory.db, step.operation)) return false;
      if (await deletions.isOwed(inventory.db, plan.site)) return true;
      const { status, domain } = await sites.byId(inventory.db, plan.site);
      if (status === 'removed') return false;
      throw failure('Forbidden', `Site ${domain} is ${status}: it is not taken away`);
    },

    /** nginx answers for its names no more, and its logs are gone. @throws HostConfigurationBroken, ProbeFailed */
    async withdraw(step: StepContext, plan: RepairPlan): Promise<void> {
      const { place } = await givenUp(step, plan);
      await change(place, 'unpublish', `Withdrawing ${plan.domain}`, unpublishSite(plan));
    },

    async removeJobs(step: StepContext, plan: RepairPlan): Promise<void> {
      const { place } = await givenUp(step, plan);
      await change(place, 'jobs', `Taking the jobs of ${plan.domain} away`, stopBackground(plan.site));
    },

    async removePhp(step: StepContext, plan: RepairPlan): Promise<void> {
      const { place } = await givenUp(step, plan);
      await change(place, 'php', `Taking the PHP of ${plan.domain} away`, stopPhp(phpSite(plan)));
    },

    /** With its user, and what restores left. */
    async dropDatabases(step: StepContext, plan: RepairPlan): Promise<void> {
      const { place } = await givenUp(step, plan);
      await change(place, 'restored', `Dropping what restores left of ${plan.domain}`, removeAllRestored(plan.site));
      await change(place, 'database', `Dropping the database of ${plan.domain}`, dropDatabase(plan.site));
    },

    /** Says whether there is one to be kept. */
    async keepCertificate(step: StepContext, plan: RepairPlan): Promise<{ certificate: boolean }> {
      const { place } = await givenUp(step, plan);
      await change(place, 'keep', `Keeping the certificate of ${plan.domain}`, keepPair(plan.site));
      return { certificate: (await place.read(isKept(plan.site))).exit === 0 };
    },

    /** Ends every process of the site; no file of its uid is left. */
    async removeFiles(step: StepContext, plan: RepairPlan): Promise<void> {
      const { place, uid } = await givenUp(step, plan);
      const user = { site: plan.site, uid };
      await change(place, 'user', `Removing user ${plan.site}`, removeUser(user));
      await change(place, 'remains', `Removing what is left of ${plan.site}`, removeRemains(user));
    },

    /** The inventory knows it as a removed one; its names are free. */
    async recordDeletion(step: StepContext, plan: RepairPlan, certificate: boolean): Promise<void> {
      const { site, tenant, server, domain, aliases } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        const { certificateUntil } = await deletions.finish(trx, { site, certificate });
        await operations.commitOperation(trx, step.operation);
        const kept = certificateUntil === null ? null : { ...pairPaths(site), until: certificateUntil };
        const data = { domain, aliases, kept };
        await events.emit(trx, { operation: step.operation, type: 'SiteDeleted', tenant, server, site, data });
      });
    },

    /** Whether its certificate and key are still to be removed. */
    async lookForKept(step: StepContext, { site: id }: DiscardPlan): Promise<boolean> {
      const tried = tries.triedBy(step.operation);
      const { deletedBy, status } = await sites.byId(inventory.db, id);
      if (tried?.name !== KEPT_CERTIFICATE || tried.operation !== deletedBy || status !== 'removed') {
        throw failure('Forbidden', `Operation ${step.operation} is no try of what the deletion of ${id} owes`);
      }
      return !(await tries.isVoid(inventory.db, step.operation));
    },

    async removeKeptCertificate(step: StepContext, plan: DiscardPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'discard', `Removing the certificate of ${plan.site}`, removeKeptPair(plan.site));
    },

    async recordDiscard(step: StepContext, _plan: DiscardPlan): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => await operations.commitOperation(trx, step.operation));
    },
  };
}
