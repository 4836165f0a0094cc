import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { firewallStands, keepFirewall, lowerFirewall, rulesOf, tryFirewall } from '../host/firewall.js';
import { askFirewall, parseFirewall, type Listener } from '../host/firewall-facts.js';
import { sh } from '../host/shell.js';
import { askSwap, makeSwap, needsSwap, parseSwap, removeSwap } from '../host/swap.js';
import { askUpdates, configureUpdates, forgetUpdates, parseUpdates } from '../host/updates.js';
import { serverLogin } from '../inventory/logins.js';
import { failure } from '../workflows/failures.js';
import type { ServerPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import { messageOf } from '../workflows/thrown.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import type { Noted } from './server-setup.js';
import { workplace } from './workplace.js';

/** The steps that protect a server, each of which an operator may do without. */
export function serverProtectionActivities(deps: Deps) {
  const { hosts, inventory, keyring } = deps;

  /** Fails unless CHOM gets in as it does after a loss: over a connection that is made now. */
  async function seeTheWayIn(plan: ServerPlan): Promise<void> {
    const { privateKey, keyId } = await serverLogin(inventory.db, keyring, plan.server);
    try {
      const host = await hosts.withKey(plan.server, { privateKey, keyId });
      await host.read(sh`:`, { signal: Context.current().cancellationSignal });
    } catch (error) {
      const why = messageOf(error);
      throw failure('ProbeFailed', `Through its new firewall CHOM no longer gets in to ${plan.name}: ${why}`, {
        server: plan.name,
        cause: 'Something that the rules do not let through; the server takes them back by itself',
        next: `chom server add ${plan.name} --no-firewall`,
      });
    }
  }

  return {
    /**
     * The rules are up for a trial until CHOM has come in through them. Where somebody else's firewall is at work it is
     * left in charge, and CHOM's own goes, should it have come first: two would shut what either of them opens. Where
     * the kernel lets nobody filter there is none. Both with a warning. @throws ProbeFailed, ConfigurationRejected
     */
    async setUpFirewall(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const place = await workplace(deps, step, plan.server, 'server');
      if (plan.firewall !== true) {
        await change(place, 'lower', 'Taking the firewall down', lowerFirewall());
        return { warnings: [] };
      }
      const seen = parseFirewall(await ask(place, 'Looking for firewalls', askFirewall()));
      const { unusable, others, ssh, listeners, clients } = seen;
      if (unusable !== null) return { warnings: [`No firewall: ${plan.name} does not let CHOM filter (${unusable})`] };
      if (others.length > 0) {
        const ports = [...ssh, 80, 443].join(', ');
        const they = `${others.join(' and ')} filters on ${plan.name}`;
        const ours = seen.up || seen.kept;
        if (ours) await change(place, 'lower', "Taking CHOM's firewall down", lowerFirewall());
        const so = ours
          ? `${they} and is left in charge, and CHOM's own firewall was taken down`
          : `${they} already and is left as it is, without one of CHOM's beside it`;
        return { warnings: [`${so}: see that ports ${ports} are open`] };
      }
      const rules = rulesOf({ ssh, others: listeners });
      if ((await place.read(firewallStands(rules))).exit !== 0) {
        await change(place, 'try', 'Trying the firewall', tryFirewall(rules));
        await seeTheWayIn(plan);
        await change(place, 'keep', 'Keeping the firewall', keepFirewall(rules));
      }
      return { warnings: [...listeners.map((one) => leftOpen(one)), ...clients.map((one) => closed(one))] };
    },

    async setUpUpdates(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const place = await workplace(deps, step, plan.server, 'server');
      if (plan.updates !== true) {
        await change(place, 'updates', 'Forgetting the settings of updates', forgetUpdates());
        return { warnings: [] };
      }
      const { rebooted, idle } = parseUpdates(await ask(place, 'Asking how it updates itself', askUpdates()));
      await change(place, 'updates', 'Configuring security updates', configureUpdates());
      return {
        warnings: [
          ...(rebooted ? ['Updates restarted this server by themselves: they no longer do'] : []),
          ...idle.map((timer) => `Security updates do not run: systemctl enable --now ${timer} (on ${plan.name})`),
        ],
      };
    },

    async setUpSwap(step: StepContext, plan: ServerPlan): Promise<Noted> {
      const place = await workplace(deps, step, plan.server, 'server');
      if (plan.swap !== true) {
        await change(place, 'swap', 'Removing the swap file', removeSwap());
        return { warnings: [] };
      }
      const { needed, obstacle } = needsSwap(parseSwap(await ask(place, 'Asking for memory and swap', askSwap())));
      if (obstacle !== null) return { warnings: [obstacle] };
      if (!needed) return { warnings: [] };
      try {
        await change(place, 'swap', 'Making a swap file', makeSwap());
        return { warnings: [] };
      } catch (error) {
        // A server gets on without: no site has to wait for it.
        if (error instanceof ApplicationFailure && error.type === 'UnsupportedHost')
          return { warnings: [error.message] };
        throw error;
      }
    },
  };
}

function leftOpen({ protocol, port, program }: Listener): string {
  return `The firewall leaves ${protocol} port ${port} open, which ${program || 'the kernel'} serves`;
}

function closed({ port, program }: Listener): string {
  return `The firewall closes udp port ${port}, which ${program} has beside the one that it serves on: it is taken for a client's`;
}
