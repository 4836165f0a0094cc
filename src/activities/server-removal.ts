import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { lowerFirewall } from '../host/firewall.js';
import { sitesLeft, withdrawMariadb, withdrawNginx } from '../host/leave.js';
import { forgetRotation } from '../host/logrotate.js';
import { sh } from '../host/shell.js';
import { removeSwap } from '../host/swap.js';
import { forgetUpdates } from '../host/updates.js';
import * as credentials from '../inventory/credentials.js';
import * as events from '../inventory/events.js';
import { abandonServer } from '../inventory/gone.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure, isFailureType } from '../workflows/failures.js';
import type { RemovalPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import type { Noted } from './server-setup.js';
import { fence, workplace, type Workplace } from './workplace.js';

/** The steps by which CHOM leaves a server. Packages, and what others keep there, stay. */
export function serverRemovalActivities(deps: Deps) {
  const { hosts, inventory } = deps;

  async function serverPlace(step: StepContext, plan: RemovalPlan): Promise<Workplace> {
    return await workplace(deps, step, plan.server, 'server');
  }

  async function ownKeys(server: string): Promise<string[]> {
    const all = await credentials.list(inventory.db, server);
    return all.flatMap(({ kind, public: line }) => (kind === 'server-key' && line !== null ? [line] : []));
  }

  return {
    /** From here on the server takes no sites. @throws Conflict sites are on it, by the inventory or by its own records */
    async closeServer(step: StepContext, plan: RemovalPlan): Promise<void> {
      const place = await serverPlace(step, plan);
      const left = await ask(place, 'Looking for sites', sitesLeft());
      await inventory.fenced(fence(step), async (trx) => {
        const here = await sites.list(trx, { server: plan.server });
        const live = here.filter(({ status }) => status !== 'failed');
        if (live.length > 0)
          throw occupied(
            plan,
            live.map(({ domain }) => domain),
          );
        const unknown = left.split('\n').filter(Boolean);
        if (unknown.length > 0) throw occupied(plan, unknown);
        await servers.setStatus(trx, plan.server, 'failed');
      });
    },

    /** @throws HostConfigurationBroken, ProbeFailed */
    async withdrawConfiguration(step: StepContext, plan: RemovalPlan): Promise<void> {
      const place = await serverPlace(step, plan);
      await change(place, 'nginx', 'Withdrawing from nginx', withdrawNginx());
      await change(place, 'mariadb', 'Withdrawing from MariaDB', withdrawMariadb());
      await change(place, 'logs', 'Withdrawing from logrotate', forgetRotation());
    },

    async withdrawProtection(step: StepContext, plan: RemovalPlan): Promise<void> {
      const place = await serverPlace(step, plan);
      await change(place, 'updates', 'Forgetting the settings of updates', forgetUpdates());
      await change(place, 'swap', 'Removing the swap file', removeSwap());
      await change(place, 'firewall', 'Taking the firewall down', lowerFirewall());
    },

    /**
     * The end on the host: nothing of CHOM's is left there, and its key is refused. The steps before got in with that
     * key, so where it is refused already, an earlier try came that far.
     */
    async leaveServer(step: StepContext, plan: RemovalPlan): Promise<Noted> {
      const { user } = await servers.byId(inventory.db, plan.server);
      const keys = await ownKeys(plan.server);
      const signal = Context.current().cancellationSignal;
      const claim = { controller: deps.controller, scope: 'server', root: step.root, epoch: step.epoch };
      const leave = async () => {
        const host = await hosts.for(plan.server);
        return await host.leave(claim, { user, keys }, { signal });
      };
      const { left } = await leave().catch((error: unknown) => {
        if (error instanceof ApplicationFailure && error.type === 'LoginRefused') return { left: [] };
        throw error;
      });
      // Also where an earlier try left, and lost its connection or its worker before it could.
      await hosts.leave(plan.server);
      return { warnings: left.map((path) => `${path} on ${plan.name} is not empty, and was left`) };
    },

    /** @throws Conflict CHOM still gets in: it is not gone */
    async seeItGone(_step: StepContext, plan: RemovalPlan): Promise<Noted> {
      try {
        const host = await hosts.for(plan.server);
        await host.read(sh`:`, { signal: Context.current().cancellationSignal });
      } catch (error) {
        if (!(error instanceof ApplicationFailure) || !isFailureType(error.type)) throw error;
        return { warnings: [`Nothing was undone on ${plan.name}: ${error.message}`] };
      }
      throw failure('Conflict', `${plan.name} is not gone: CHOM still gets in`, {
        server: plan.name,
        cause: '--gone forgets a server without touching it; what CHOM put there would stay, and serve',
        next: `chom server remove ${plan.name} --confirm ${plan.name}`,
      });
    },

    /** The inventory knows it no more; its name is free. */
    async forgetServer(step: StepContext, plan: RemovalPlan): Promise<Noted> {
      const { server, tenant, name, gone } = plan;
      return await inventory.fenced(fence(step), async (trx) => {
        const lost = gone ? await abandonServer(trx, { server, name, except: step.operation }) : [];
        for (const { id } of await credentials.list(trx, server)) await credentials.remove(trx, id);
        await servers.setStatus(trx, server, 'removed');
        await operations.commitOperation(trx, step.operation);
        const data = { name, gone, lost };
        await events.emit(trx, { operation: step.operation, type: 'ServerRemoved', tenant, server, site: null, data });
        return { warnings: lost };
      });
    },
  };
}

function occupied({ name }: RemovalPlan, on: string[]) {
  return failure('Conflict', `Server ${name} is not empty: ${on.join(', ')}`, {
    server: name,
    cause: 'CHOM leaves no server on which its sites are',
    next: `chom site list --server ${name}`,
  });
}
