import * as aliases from '../inventory/aliases.js';
import * as events from '../inventory/events.js';
import { serverOf } from '../inventory/in-service.js';
import * as operations from '../inventory/operations.js';
import { type AliasesPlan, changesOf } from '../workflows/aliases-plan.js';
import type { RepairPlan } from '../workflows/plans.js';
import type { Published } from '../workflows/restore-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { publishAsRecorded } from './publication.js';
import { fence, siteServer } from './workplace.js';

/** The steps that give a site other aliases. */
export function aliasActivities(deps: Deps) {
  const { inventory } = deps;

  return {
    /** @throws Conflict a name is taken, the site is not in service, or its aliases are others by now */
    async takeNames(step: StepContext, plan: AliasesPlan): Promise<{ suspended: boolean }> {
      return await inventory.fenced(fence(step), async (trx) => {
        const site = await aliases.take(trx, plan, step.root);
        await serverOf(trx, site, { planned: plan.server });
        return { suspended: site.status === 'suspended' };
      });
    },

    async giveNamesBack(step: StepContext, plan: AliasesPlan): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => await aliases.giveBack(trx, plan.site));
    },

    /** The site by the names of the plan. @throws Conflict a server of somebody else's has one of them */
    async publishNames(step: StepContext, plan: RepairPlan): Promise<Published> {
      const place = await siteServer(deps, step, plan);
      const { aliases: names } = plan;
      const { version, certificate } = await publishAsRecorded(deps, place, plan, { aliases: names });
      return { version, secure: certificate };
    },

    async recordAliases(step: StepContext, plan: AliasesPlan): Promise<void> {
      const { tenant, server, site, domain } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await aliases.record(trx, plan);
        await operations.commitOperation(trx, step.operation);
        const data = { domain, aliases: plan.aliases, ...changesOf(plan) };
        await events.emit(trx, { operation: step.operation, type: 'SiteAliasesChanged', tenant, server, site, data });
      });
    },
  };
}
