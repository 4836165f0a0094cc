import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { askBoot, parseBoot, restart, type Boot } from '../host/boot.js';
import { createSemaphore } from '../host/semaphore.js';
import * as certificates from '../inventory/certificates.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure, type FailureType } from '../workflows/failures.js';
import type { Answering, Before, RebootPlan } from '../workflows/reboot-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { answers } from './probe.js';
import { fence, workplace } from './workplace.js';

/** So many sites are asked at once. */
const AT_ONCE = 8;
/** PHP and databases start after the network does. */
const SERVICES_MS = 20_000;
const SITES_MS = 20_000;
/** As a server is seen that is going down, or coming up. */
const DOWN: readonly FailureType[] = [
  ...(['Unreachable', 'ConnectionLost', 'Penalised', 'LoginRefused', 'TimedOut', 'CommandFailed'] as const),
];

/** The steps that restart a server. */
export function rebootActivities(deps: Deps) {
  const { inventory } = deps;

  async function bootOf({ server }: RebootPlan, step: StepContext): Promise<Boot> {
    return parseBoot(await ask(await workplace(deps, step, server, 'server'), 'Asking what is at work', askBoot()));
  }

  /** Those that do not answer as they are on record. */
  async function unanswered(
    { server, name }: RebootPlan,
    all: readonly Answering[],
    deadline: number,
  ): Promise<{ domain: string; why: string }[]> {
    const { address } = await servers.byId(inventory.db, server);
    const signal = Context.current().cancellationSignal;
    const limit = createSemaphore(AT_ONCE);
    const until = Date.now() + deadline;
    const asked = all.map(async ({ domain, version, secure, suspended }) => {
      const sight = { address, port: secure ? 443 : 80, secure, name: domain, version, suspended };
      const look = async () => await answers(sight, signal, name, Math.max(0, until - Date.now()));
      return await limit.run(look).then(
        () => [],
        (error: unknown) => {
          if (!(error instanceof ApplicationFailure)) throw error;
          return [{ domain, why: error.message }];
        },
      );
    });
    return (await Promise.all(asked)).flat();
  }

  /** Whose a unit is: the domain of its site, or undefined. */
  async function domains({ server }: RebootPlan): Promise<(unit: string) => string | undefined> {
    const known = new Map((await sites.list(inventory.db, { server })).map(({ id, domain }) => [id, domain]));
    return (unit) => known.get(/@(.+)\.[a-z]+$/.exec(unit)?.[1] ?? '');
  }

  return {
    /** Which boot this is, and what works in it. @throws Conflict the server is not enrolled */
    async lookBefore(step: StepContext, plan: RebootPlan): Promise<Before> {
      servers.expectEnrolled(await servers.byId(inventory.db, plan.server));
      const boot = await bootOf(plan, step);
      const hosted = (await sites.list(inventory.db, { server: plan.server })).filter((site) => sites.isSettled(site));
      const live = await Promise.all(
        hosted.map(async ({ id: site, domain, status: is }): Promise<Answering> => {
          const secure = (await certificates.installed(inventory.db, site)) !== null;
          return { site, domain, version: boot.versions[site] ?? '', secure, suspended: is === 'suspended' };
        }),
      );
      const silent = (await unanswered(plan, live, 0)).map(({ domain }) => domain);
      const answered = live.filter(({ domain }) => !silent.includes(domain));
      return { boot: boot.id, due: boot.due, services: boot.services, answered, silent };
    },

    /** Done in any other boot than that one: so it is restarted once, whoever comes again. */
    async restartServer(step: StepContext, { server }: RebootPlan, { boot }: Before): Promise<void> {
      const place = await workplace(deps, step, server, 'server');
      await change(place, 'restart', 'Restarting', restart(boot));
    },

    /** Whether another boot has begun, and lets us in. @throws TimedOut it has not, and this was the `last` look */
    async isBack(step: StepContext, plan: RebootPlan, before: Before, { last }: { last: boolean }): Promise<boolean> {
      let why = 'it is still in the same boot';
      try {
        const { id } = await bootOf(plan, step);
        if (id !== '' && id !== before.boot) return true;
      } catch (error) {
        if (!(error instanceof ApplicationFailure) || !DOWN.includes(error.type as FailureType)) throw error;
        why = error.message;
      }
      if (!last) return false;
      throw failure('TimedOut', `${plan.name} was restarted and is not back: ${why}`, {
        server: plan.name,
        cause: 'It hangs going down or coming up, or comes up without its network',
        next: `look at the console of ${plan.name}`,
      });
    },

    /** What was active before is so again. @throws ProbeFailed naming what is not */
    async seeServices(step: StepContext, plan: RebootPlan, { services }: Before): Promise<void> {
      const signal = Context.current().cancellationSignal;
      const until = Date.now() + SERVICES_MS;
      for (;;) {
        const now = new Set((await bootOf(plan, step)).services);
        const down = services.filter((unit) => !now.has(unit));
        if (down.length === 0) return;
        if (Date.now() >= until) {
          const domainOf = await domains(plan);
          const named = down.map((unit) => ({ unit, domain: domainOf(unit) }));
          const names = named.map(({ unit, domain }) => (domain === undefined ? unit : `${unit} of ${domain}`));
          const [first] = named;
          throw failure('ProbeFailed', `${plan.name} has restarted, and without ${names.join(', ')}`, {
            server: plan.name,
            cause: 'It does not start by itself, or fails to',
            next: first?.domain === undefined ? `chom server doctor ${plan.name}` : `chom site doctor ${first.domain}`,
          });
        }
        await sleep(1_000, undefined, { signal });
      }
    },

    /** @throws ProbeFailed naming the sites that answered before, and do not now */
    async seeSites(_step: StepContext, plan: RebootPlan, { answered }: Before): Promise<void> {
      const down = await unanswered(plan, answered, SITES_MS);
      const [first] = down;
      if (!first) return;
      const names = down.map(({ domain }) => domain).join(', ');
      const verb = down.length === 1 ? 'does' : 'do';
      throw failure('ProbeFailed', `${plan.name} has restarted, and ${names} ${verb} not answer any more`, {
        server: plan.name,
        cause: first.why,
        next: `chom site doctor ${first.domain}`,
      });
    },

    async recordRestart(step: StepContext, plan: RebootPlan, before: Before): Promise<void> {
      const { tenant, server, name } = plan;
      const { boot, due, answered, silent } = before;
      const data = { name, ended: boot, due, answering: answered.map(({ domain }) => domain), silent };
      await inventory.fenced(fence(step), async (trx) => {
        await operations.commitOperation(trx, step.operation);
        const of = { operation: step.operation, tenant, server, site: null };
        await events.emit(trx, { ...of, type: 'ServerRebooted', data });
      });
    },
  };
}
