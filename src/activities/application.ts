import { startBackground, stopBackground, type Background } from '../host/background.js';
import { createDatabase, dropDatabase } from '../host/database.js';
import { laravelBackground, migrateLaravel, prepareLaravel, whoseEnvironment } from '../host/laravel.js';
import { forgetApplication, installWordpress, wordpressBackground } from '../host/wordpress.js';
import * as secrets from '../inventory/secrets.js';
import { failure } from '../workflows/failures.js';
import { ADMIN_PASSWORD, type RepairPlan, type SitePlan, type WordpressPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { siteServer } from './workplace.js';

const INSTALL_SECONDS = 540;

/** The steps that make a site's database, install the program that it is for, and start what it does by itself. */
export function applicationActivities(deps: Deps) {
  const { inventory, keyring } = deps;

  return {
    /** @throws Conflict a database or user of that name that CHOM has not made; UnsupportedHost, DiskFull */
    async createDatabase(step: StepContext, plan: RepairPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'create-database', `Creating database ${plan.site}`, createDatabase(plan.site));
    },

    async dropDatabase(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'drop-database', `Dropping database ${plan.site}`, dropDatabase(plan.site));
    },

    /** @throws SourceRejected the files are no WordPress; UnsupportedHost */
    async installWordpress(step: StepContext, plan: SitePlan): Promise<void> {
      const password = await secrets.open(inventory.db, keyring, { operation: step.operation, name: ADMIN_PASSWORD });
      const place = await siteServer(deps, step, plan);
      const installing = installWordpress({ ...application(plan), ...wordpressOf(plan) });
      const job = { ...installing, secrets: { [ADMIN_PASSWORD]: password } };
      await change(place, 'install-wordpress', `Installing WordPress for ${plan.domain}`, job, INSTALL_SECONDS);
    },

    /** Says whether `.env` is the one that CHOM made. @throws SourceRejected the files are no Laravel application */
    async prepareLaravel(step: StepContext, plan: SitePlan): Promise<{ environment: 'ours' | 'theirs' }> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'prepare-laravel', `Preparing ${plan.domain}`, prepareLaravel(application(plan)));
      const whose = await ask(place, 'Reading .env', whoseEnvironment(plan.site));
      return { environment: whose.trim() === 'ours' ? 'ours' : 'theirs' };
    },

    /** @throws SourceRejected a migration fails */
    async migrateLaravel(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const migrating = migrateLaravel(application(plan));
      await change(place, 'migrate', `Migrating the database of ${plan.domain}`, migrating, INSTALL_SECONDS);
    },

    async forgetApplication(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'forget-application', 'Forgetting the installation', forgetApplication(plan.site));
    },

    async startBackground(step: StepContext, plan: RepairPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const starting = startBackground(plan.site, backgroundOf(plan));
      await change(place, 'start-background', `Starting the jobs of ${plan.domain}`, starting);
    },

    async stopBackground(step: StepContext, plan: SitePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'stop-background', `Stopping the jobs of ${plan.domain}`, stopBackground(plan.site));
    },
  };
}

function application({ site, domain, tls, php }: RepairPlan) {
  if (php === null) throw failure('Bug', `Site ${domain} runs no PHP`);
  return { site, domain, tls, version: php };
}

function wordpressOf({ domain, wordpress }: SitePlan): WordpressPlan {
  if (!wordpress) throw failure('Bug', `Site ${domain} is to run WordPress, which was told nothing`);
  return wordpress;
}

/** What a site does without a visitor. */
export function backgroundOf(plan: RepairPlan): Background[] {
  if (plan.type === 'wordpress') return wordpressBackground(application(plan));
  return plan.type === 'laravel' ? laravelBackground(application(plan)) : [];
}
