import { configureMail } from '../host/mail.js';
import * as servers from '../inventory/servers.js';
import type { ServerPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { fence, workplace } from './workplace.js';

/** The step by which the mail of a server's sites finds its way. */
export function serverMailActivities(deps: Deps) {
  const { inventory } = deps;
  return {
    /** Sites that are there already send through it too, from their next mail on. */
    async configureMail(step: StepContext, plan: ServerPlan): Promise<void> {
      const { server, smtpRelay = null } = plan;
      const place = await workplace(deps, step, server, 'server');
      await change(place, 'mail', 'Configuring mail', configureMail(smtpRelay));
      await inventory.fenced(fence(step), async (trx) => await servers.setSmtpRelay(trx, server, smtpRelay));
    },
  };
}
