import { Context } from '@temporalio/activity';
import { startBackground } from '../host/background.js';
import { stopSite } from '../host/close-site.js';
import { startPhp } from '../host/php-fpm.js';
import { switchPath, switchPathBack } from '../host/restore-path.js';
import { switchBack, switchRestore, type SwitchOrder } from '../host/restore-switch.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { type RepairPlan, runsPhp } from '../workflows/plans.js';
import type { Beside, ExchangePlan, Published } from '../workflows/restore-plan.js';
import type { StepContext } from '../workflows/step.js';
import { backgroundOf } from './application.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { answers } from './probe.js';
import { publishAsRecorded } from './publication.js';
import { phpSite } from './site.js';
import { siteServer, type Workplace } from './workplace.js';

/** The steps by which what lies beside a site changes places with what is live. */
export function exchangeActivities(deps: Deps) {
  async function isSuspended({ site }: RepairPlan): Promise<boolean> {
    return (await sites.byId(deps.inventory.db, site)).status === 'suspended';
  }

  async function open(place: Workplace, plan: RepairPlan): Promise<Published> {
    if (runsPhp(plan.type) && !(await isSuspended(plan))) {
      await change(place, 'start-php', `Starting PHP of ${plan.domain}`, startPhp(phpSite(plan)));
    }
    const { version, certificate } = await publishAsRecorded(deps, place, plan);
    return { version, secure: certificate };
  }

  return {
    /** Visitors see the maintenance page, and nothing of the site is at work. */
    async closeSite(step: StepContext, plan: RepairPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await publishAsRecorded(deps, place, plan, { page: 'maintenance' });
      await change(place, 'stop', `Stopping what works for ${plan.domain}`, stopSite(plan.site));
    },

    /** Its PHP works, and visitors see it; its own jobs do not run yet. */
    async openSite(step: StepContext, plan: RepairPlan): Promise<Published> {
      return await open(await siteServer(deps, step, plan), plan);
    },

    /** As `seeSite`, over HTTPS where it is served so: what the site shows is looked at, not its certificate. */
    async seeContent(_step: StepContext, plan: RepairPlan, { version, secure }: Published): Promise<void> {
      const { address } = await servers.byId(deps.inventory.db, plan.server);
      const sight = { address, port: secure ? 443 : 80, secure, name: plan.domain, version };
      await answers(sight, Context.current().cancellationSignal, plan.serverName);
    },

    /** All of it, as before it was closed; of a suspended site visitors see that it is. */
    async reopenSite(step: StepContext, plan: RepairPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await open(place, plan);
      const jobs = backgroundOf(plan);
      if (jobs.length === 0 || (await isSuspended(plan))) return;
      await change(place, 'background', `Starting the jobs of ${plan.domain}`, startBackground(plan.site, jobs));
    },

    /** What lies beside the site is live, and what was live lies there. @throws DatabaseLocked, DatabaseBroken, DiskFull */
    async switchTo(step: StepContext, plan: ExchangePlan, beside: Beside): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const { site, path } = plan;
      const switching =
        path === null ? switchRestore(orderOf(plan, beside)) : switchPath({ site, operation: beside.restore }, path);
      await change(place, 'switch', `Switching ${plan.domain}`, switching);
    },

    /** Takes `switchTo` back, from wherever it got to. */
    async switchBack(step: StepContext, plan: ExchangePlan, beside: Beside): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const { site, path } = plan;
      const switching =
        path === null ? switchBack(orderOf(plan, beside)) : switchPathBack({ site, operation: beside.restore }, path);
      await change(place, 'switch-back', `Switching ${plan.domain} back`, switching);
    },
  };
}

function orderOf(plan: ExchangePlan, { restore, charset, collation }: Beside): SwitchOrder {
  const { site, files, dump, safety } = plan;
  if (dump && (charset === null || collation === null)) throw failure('Bug', 'A database without a character set');
  const database = dump && charset !== null && collation !== null ? { charset, collation } : null;
  // Who wanted no backup of what is there has said that it may go.
  return { site, operation: restore, files, database, dropDamaged: safety === null };
}
