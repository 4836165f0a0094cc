import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { askUpgrades, parseUpgrades } from '../host/upgrades.js';
import * as credentials from '../inventory/credentials.js';
import * as findings from '../inventory/findings.js';
import * as operations from '../inventory/operations.js';
import * as places from '../inventory/places.js';
import * as checks from '../inventory/server-checks.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { CheckPlan, Contact, Looked } from '../workflows/check-plan.js';
import { failure, type FailureType } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { isWrong, sighting } from './check-sightings.js';
import { logInAfresh } from './key-proof.js';
import { loginFinding, serverReport } from './server-report.js';
import { lookAtHosted } from './site-check.js';
import { upgradeFinding } from './upgrade-findings.js';
import { fence } from './workplace.js';

/** What the next login may find gone by itself. */
const PASSING: readonly FailureType[] = ['Unreachable', 'ConnectionLost', 'Penalised'];

/** The server is there, and lets us in again by itself; it counts once it does not. */
const PENALISED = { checks: 2 };

/** The steps of a check: they read, and write into the inventory alone. */
export function checkActivities(deps: Deps) {
  const { hosts, inventory } = deps;

  /** Who has the server alone: it may be down by his doing. */
  async function holder(server: string): Promise<string | null> {
    const line = await places.list(inventory.db, { server });
    return line.find(({ state, exclusive }) => state === 'running' && exclusive === 1)?.root ?? null;
  }

  return {
    /** One login with the current key, over a connection of its own. @throws Conflict the server is not enrolled any more */
    async contactServer(_step: StepContext, plan: CheckPlan): Promise<Contact> {
      servers.expectEnrolled(await servers.byId(inventory.db, plan.server));
      const before = await holder(plan.server);
      if (before !== null) return { state: 'held', by: before };
      const key = await credentials.current(inventory.db, plan.server, 'server-key');
      if (!key) throw failure('NotFound', `There is no key for server ${plan.name}`, { server: plan.name });
      try {
        await logInAfresh(deps, plan, key.id);
        return { state: 'in' };
      } catch (error) {
        const finding = await loginFinding(deps, plan.server, error);
        const since = await holder(plan.server);
        if (since !== null) return { state: 'held', by: since };
        const type = error instanceof ApplicationFailure ? (error.type as FailureType) : 'Unexpected';
        if (!PASSING.includes(type)) return { state: 'barred', finding };
        return { state: 'away', finding: type === 'Penalised' ? { ...finding, counts: PENALISED } : finding };
      }
    },

    /** What is wrong with the server itself, in the words of its doctor. */
    async lookAtServer(_step: StepContext, plan: CheckPlan): Promise<Looked> {
      const { reached, findings: all } = await serverReport(deps, plan.server);
      if (!reached) return { server: false, sites: [], findings: all };
      const signal = Context.current().cancellationSignal;
      const host = await hosts.for(plan.server);
      const { stdout } = await host.read(askUpgrades(), { limitSeconds: 60, signal });
      const { protection } = await servers.byId(inventory.db, plan.server);
      const found = [...all, ...upgradeFinding(parseUpgrades(stdout), plan.name, protection)];
      return { server: true, sites: [], findings: found.filter(isWrong) };
    },

    /** What is wrong with its sites, seen from the outside, and with their certificates and backups. */
    async lookAtSites(_step: StepContext, plan: CheckPlan): Promise<Looked> {
      return await lookAtHosted(deps, plan);
    },

    /** Keeps what is new, ends what is gone, and tells of both. `counts`: no later check was asked for meanwhile. */
    async recordCheck(step: StepContext, plan: CheckPlan, looked: Looked[]): Promise<{ counts: boolean }> {
      const { server, tenant } = plan;
      return await inventory.fenced(fence(step), async (trx) => {
        await operations.commitOperation(trx, step.operation);
        if (!(await checks.conclude(trx, server, step.operation))) return { counts: false };
        const live = (await sites.list(trx, { server })).filter((site) => sites.isLive(site)).map(({ id }) => id);
        const seen = new Set(looked.flatMap((one) => one.sites));
        const reached = looked.every((one) => one.server);
        const covers = ({ key, site }: { key: string; site: string | null }) => {
          if (site !== null) return seen.has(site) || !live.includes(site);
          return reached || key === 'login' || key.startsWith('login/');
        };
        const sightings = looked.flatMap((one) => one.findings).map(sighting);
        await findings.record(trx, { server, tenant, covers }, sightings, { check: step.operation });
        return { counts: true };
      });
    },
  };
}
