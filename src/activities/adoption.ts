import { Context } from '@temporalio/activity';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import type { AdoptionPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** How a server passes from one installation of CHOM to another, or to a restored copy of its inventory. */
export function adoptionActivities({ hosts, inventory, controller }: Deps) {
  return {
    /**
     * From here on the server refuses whoever had it, and every epoch and uid given out for it is higher than what it
     * has seen.
     */
    async adoptClaims(step: StepContext, plan: AdoptionPlan): Promise<void> {
      const { server, tenant, name } = plan;
      const signal = Context.current().cancellationSignal;
      const { claims, nextUid } = await (await hosts.for(server)).adopt(controller, { signal });
      await inventory.fenced(fence(step), async (trx) => {
        for (const { scope, epoch } of claims) {
          await places.learnEpoch(trx, scope === 'server' ? `server/${server}` : scope, epoch);
        }
        await servers.learnNextUid(trx, server, nextUid);
        await operations.commitOperation(trx, step.operation);
        const data = { name, claims: claims.length };
        await events.emit(trx, { operation: step.operation, type: 'ServerAdopted', tenant, server, site: null, data });
      });
    },
  };
}
