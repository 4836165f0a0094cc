import { Context } from '@temporalio/activity';
import { stopSite } from '../host/close-site.js';
import { startPhp } from '../host/php-fpm.js';
import * as events from '../inventory/events.js';
import { serverOf } from '../inventory/in-service.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as suspensions from '../inventory/suspensions.js';
import { type RepairPlan, runsPhp } from '../workflows/plans.js';
import type { Published } from '../workflows/restore-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { answers } from './probe.js';
import { publishAsRecorded } from './publication.js';
import { phpSite } from './site.js';
import { fence, siteServer } from './workplace.js';

/** The steps that suspend a site, and end that. */
export function suspensionActivities(deps: Deps) {
  const { inventory } = deps;

  async function expected(plan: RepairPlan, expect: (site: sites.Site) => void): Promise<void> {
    const site = await sites.byId(inventory.db, plan.site);
    expect(site);
    await serverOf(inventory.db, site, { planned: plan.server });
  }

  return {
    /** @throws Conflict the site is not in service; NotFound its server was removed */
    async checkSuspension(_step: StepContext, plan: RepairPlan): Promise<void> {
      await expected(plan, suspensions.expectActive);
    },

    /** @throws Conflict the site is not suspended; NotFound its server was removed */
    async checkResumption(_step: StepContext, plan: RepairPlan): Promise<void> {
      await expected(plan, suspensions.expectSuspended);
    },

    /** Visitors are turned away, and nothing of the site is at work, nor will be after a boot. */
    async closeForGood(step: StepContext, plan: RepairPlan): Promise<Published> {
      const place = await siteServer(deps, step, plan);
      const { version, certificate } = await publishAsRecorded(deps, place, plan, { page: 'suspended' });
      await change(place, 'stop', `Stopping what works for ${plan.domain}`, stopSite(plan.site));
      return { version, secure: certificate };
    },

    /** @throws ProbeFailed */
    async seeTurnedAway(_step: StepContext, plan: RepairPlan, { version, secure }: Published): Promise<void> {
      const { address } = await servers.byId(inventory.db, plan.server);
      const where = { address, port: secure ? 443 : 80, secure, name: plan.domain };
      await answers({ ...where, version, suspended: true }, Context.current().cancellationSignal, plan.serverName);
    },

    async recordSuspension(step: StepContext, plan: RepairPlan, reason: string | null): Promise<void> {
      const { site, tenant, server, domain } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await suspensions.begin(trx, site, reason);
        await operations.commitOperation(trx, step.operation);
        const data = { domain, reason };
        await events.emit(trx, { operation: step.operation, type: 'SiteSuspended', tenant, server, site, data });
      });
    },

    /** Its PHP works, and visitors see it; its own jobs do not run yet. */
    async openAgain(step: StepContext, plan: RepairPlan): Promise<Published> {
      const place = await siteServer(deps, step, plan);
      if (runsPhp(plan.type)) {
        await change(place, 'start-php', `Starting PHP of ${plan.domain}`, startPhp(phpSite(plan)));
      }
      const { version, certificate } = await publishAsRecorded(deps, place, plan, { page: 'site' });
      return { version, secure: certificate };
    },

    async recordResumption(step: StepContext, plan: RepairPlan): Promise<void> {
      const { site, tenant, server, domain } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await suspensions.end(trx, site);
        await operations.commitOperation(trx, step.operation);
        const about = { tenant, server, site, data: { domain } };
        await events.emit(trx, { operation: step.operation, type: 'SiteResumed', ...about });
      });
    },
  };
}
