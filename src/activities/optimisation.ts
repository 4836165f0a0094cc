import { Context } from '@temporalio/activity';
import { analyseTables, askTables, parseTables, rebuildFailure, rebuildTable, type Tables } from '../host/optimise.js';
import * as operations from '../inventory/operations.js';
import * as optimisations from '../inventory/optimisations.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { Choice, Chosen, OptimisationPlan, Rebuilt, Skipped } from '../workflows/optimisation-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { tellAmount } from './heartbeat.js';
import { chooseTables, hasRoom, isWorthIt, sizeOf } from './table-choice.js';
import { fence, siteServer, type Workplace } from './workplace.js';

/** No table is begun after so long: below the bounds of the step by the longest that one may take. */
const BEGIN_WITHIN_MS = 25 * 60_000;
const TABLE_SECONDS = 25 * 60;
/** What starting and ending a job may take beside it. */
const AROUND_SECONDS = 120;

/** The steps that keep a site's database in order. */
export function optimisationActivities(deps: Deps) {
  const { inventory } = deps;

  async function tablesOf(place: Workplace, { site, domain }: OptimisationPlan): Promise<Tables> {
    return parseTables(await ask(place, `Asking for the tables of ${domain}`, askTables(site)));
  }

  /** Null: it was, or need not be any more; else why it was left. */
  async function rebuild(place: Workplace, plan: OptimisationPlan, { table }: Chosen): Promise<Skipped['why'] | null> {
    const now = await tablesOf(place, plan);
    const found = now.tables.find(({ name }) => name === table);
    // Rebuilt by a worker that died, dropped, or filled again.
    if (!found || !isWorthIt(found)) return null;
    if (!hasRoom(found, now.freeBytes)) return 'no-room';
    const act = rebuildTable(plan.site, table, TABLE_SECONDS);
    const { stdout, stderr } = await place.job(`rebuild-${table}`, {
      act,
      limitSeconds: TABLE_SECONDS + AROUND_SECONDS,
    });
    return rebuildFailure(`${stdout}${stderr}`);
  }

  return {
    /** @throws Conflict the site is not in service, or has no database */
    async chooseTables(step: StepContext, plan: OptimisationPlan): Promise<Choice> {
      expectDatabase(await sites.byId(inventory.db, plan.site));
      return chooseTables(await tablesOf(await siteServer(deps, step, plan), plan));
    },

    /** All of them, for it takes a sample of each. */
    async analyseTables(step: StepContext, plan: OptimisationPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const names = (await tablesOf(place, plan)).tables.map(({ name }) => name);
      if (names.length === 0) return;
      await change(place, 'analyse', `Analysing the tables of ${plan.domain}`, {
        act: analyseTables(plan.site, names),
      });
    },

    /** One after the other, each only if it is still worth it and there is room; what cannot be done is said. */
    async rebuildTables(step: StepContext, plan: OptimisationPlan, { chosen }: Choice): Promise<Rebuilt> {
      const place = await siteServer(deps, step, plan);
      const until = Date.now() + BEGIN_WITHIN_MS;
      const rebuilt: Rebuilt = { tables: 0, reclaimedBytes: 0, skipped: [] };
      const total = chosen.reduce((sum, { bytes }) => sum + bytes, 0);
      let done = 0;
      for (const table of chosen) {
        const why = Date.now() >= until ? 'time' : await rebuild(place, plan, table);
        if (why !== null) rebuilt.skipped.push({ table: table.table, bytes: table.bytes, why });
        else rebuilt.tables += 1;
        done += table.bytes;
        const amount = {
          phase: 'rebuilding',
          done: done / Math.max(1, total),
          files: 0,
          bytes: done,
          totalBytes: total,
        };
        tellAmount(Context.current(), { step: step.index, amount });
      }
      // Measured against what was chosen: a worker that died in between has taken none of it along.
      const after = new Map((await tablesOf(place, plan)).tables.map((one) => [one.name, sizeOf(one)]));
      const left = new Set(rebuilt.skipped.map(({ table }) => table));
      for (const { table, bytes } of chosen) {
        if (!left.has(table)) rebuilt.reclaimedBytes += Math.max(0, bytes - (after.get(table) ?? bytes));
      }
      return rebuilt;
    },

    async recordOptimisation(
      step: StepContext,
      { site }: OptimisationPlan,
      { tables, skipped }: Choice,
      rebuilt: Rebuilt,
    ): Promise<void> {
      const { operation } = step;
      await inventory.fenced(fence(step), async (trx) => {
        await operations.commitOperation(trx, operation);
        const came = { tables, rebuilt: rebuilt.tables, reclaimedBytes: rebuilt.reclaimedBytes };
        await optimisations.record(trx, { operation, site, ...came, skipped: [...skipped, ...rebuilt.skipped] });
      });
    },
  };
}

/** @throws Conflict */
function expectDatabase(site: sites.Site): void {
  const { domain, status, databaseName } = site;
  if (sites.isSettled(site) && databaseName !== null) return;
  const why = databaseName === null ? 'has no database' : `is ${status}`;
  throw failure('Conflict', `Site ${domain} ${why}`, { next: `chom site show ${domain}` });
}
