import type { Command } from 'commander';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { repairPlan } from '../workflows/plans.js';
import { type Asking, askForSite } from './ask-for.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import type { Chom } from './open.js';
import { recordedSite } from './site-plan.js';

/** `chom site repair` */
export function repairCommand(site: Command, cli: Cli): void {
  site
    .command('repair')
    .argument('<domain>', 'its domain or one of its aliases')
    .description('put back what a live site needs on its server: user, database, PHP, nginx file, jobs, certificate')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      '\nExample:\n  chom site repair example.org\n\nWhat is there is left as it is. Files and the content of a database that are gone are not brought back.',
    )
    .action(action(cli, repair));
}

async function repair(session: Session, text: string, options: FollowOptions & { wait: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  parseDomain(text);
  const chom = await session.open();
  return await follow(session, chom, await repairSite(chom, text, options), { ...options, needsWorker: true });
}

/**
 * Asks for what a live site lost on its server to be put back.
 * @throws InvalidInput; NotFound no such site; Conflict it is not live; Busy; TemporalUnavailable
 */
export async function repairSite(chom: Chom, text: string, { wait = true, operation }: Asking = {}): Promise<string> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  const { domain, status } = site;
  if (!sites.isLive(site)) {
    throw failure('Conflict', `Site ${domain} is ${status}`, {
      cause: 'what is put back is what a live site needs',
      next: `chom site show ${domain}`,
    });
  }
  const server = await servers.byId(inventory.db, site.server);
  const plan = repairPlan.parse(recordedSite(site, server));
  return await askForSite(chom, {
    kind: 'repair-site',
    plan,
    summary: `Repair ${domain} on ${server.name}`,
    wait,
    operation,
  });
}
