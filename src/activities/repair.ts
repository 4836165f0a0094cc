import { countTables } from '../host/database.js';
import { createUser } from '../host/user.js';
import * as certificates from '../inventory/certificates.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { RepairPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { publishAsRecorded } from './publication.js';
import type { Noted } from './server-setup.js';
import { fence, siteServer } from './workplace.js';

/** The steps that put back what a live site lost, where those that made it would ask too much or too little. */
export function repairActivities(deps: Deps) {
  const { inventory } = deps;

  return {
    /** @throws Conflict the site is not live, or not on that server */
    async checkLive(_step: StepContext, plan: RepairPlan): Promise<{ suspended: boolean }> {
      const site = await sites.byId(inventory.db, plan.site);
      const { domain, status, server } = site;
      if (sites.isSettled(site) && server === plan.server) return { suspended: status === 'suspended' };
      throw failure('Conflict', `Site ${domain} is ${status} and not live on ${plan.serverName}`, {
        next: `chom site show ${domain}`,
      });
    },

    /** A live site keeps its uid. @throws Conflict the name or the uid is somebody else's by now */
    async putBackUser(step: StepContext, plan: RepairPlan): Promise<void> {
      const { uid } = await sites.byId(inventory.db, plan.site);
      const place = await siteServer(deps, step, plan);
      await change(place, 'user', `Making user ${plan.site}`, createUser({ site: plan.site, uid }));
    },

    async lookIntoDatabase(step: StepContext, plan: RepairPlan): Promise<Noted> {
      const place = await siteServer(deps, step, plan);
      const tables = await ask(place, `Looking into database ${plan.site}`, countTables(plan.site));
      if (tables.trim() !== '0') return { warnings: [] };
      const fill = `mariadb ${plan.site} <FILE (on ${plan.serverName})`;
      return { warnings: [`Database ${plan.site} holds no table; a copy of what was in it comes back by: ${fill}`] };
    },

    /**
     * Publishes the site as it is on record; without TLS where its certificate or key is gone, for nginx would not start.
     * @throws ConfigurationRejected, HostConfigurationBroken, Conflict, ProbeFailed
     */
    async republish(step: StepContext, plan: RepairPlan): Promise<{ certificateLost: boolean }> {
      const { certificateLost } = await publishAsRecorded(deps, await siteServer(deps, step, plan), plan);
      return { certificateLost };
    },

    async recordRepair(step: StepContext, plan: RepairPlan, certificateLost: boolean): Promise<void> {
      const { site, tenant, server, domain } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        if (certificateLost) await certificates.markLost(trx, site);
        await operations.commitOperation(trx, step.operation);
        const data = { domain, certificateLost };
        await events.emit(trx, { operation: step.operation, type: 'SiteRepaired', tenant, server, site, data });
      });
    },
  };
}
