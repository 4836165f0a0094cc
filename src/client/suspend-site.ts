import type { Command } from 'commander';
import { serverOf } from '../inventory/in-service.js';
import * as sites from '../inventory/sites.js';
import * as suspensions from '../inventory/suspensions.js';
import { failure } from '../workflows/failures.js';
import { repairPlan } from '../workflows/plans.js';
import { suspensionPlan } from '../workflows/suspension-plan.js';
import { type Asking, askForSite } from './ask-for.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import type { Chom } from './open.js';
import { recordedSite } from './site-plan.js';

interface Options extends FollowOptions {
  reason?: string;
  wait: boolean;
}

/** `chom site suspend`, `chom site resume` */
export function suspensionCommands(site: Command, cli: Cli): void {
  common(site.command('suspend'))
    .description('turn the visitors of a site away, and stop what works for it, until it is resumed')
    .option('--reason <text>', 'for whoever asks later; visitors do not see it')
    .addHelpText(
      'after',
      '\nExample:\n  chom site suspend example.org --reason "unpaid since March"\n\nVisitors get a page with HTTP 503. Files, database and certificate stay, and can still be backed up and renewed.',
    )
    .action(action(cli, suspend));
  common(site.command('resume'))
    .description('open a suspended site again, with all that worked for it')
    .addHelpText('after', '\nExample:\n  chom site resume example.org')
    .action(action(cli, resume));
}

function common(command: Command): Command {
  return command
    .argument('<domain>', 'its domain or one of its aliases')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout);
}

async function suspend(session: Session, domain: string, options: Options): Promise<number> {
  parseTimeout(options.timeout);
  parseDomain(domain);
  const { reason, wait } = options;
  const chom = await session.open();
  const operation = await suspendSite(chom, { domain, wait, ...(reason !== undefined && { reason }) });
  return await follow(session, chom, operation, { ...options, needsWorker: true });
}

async function resume(session: Session, domain: string, options: Options): Promise<number> {
  parseTimeout(options.timeout);
  parseDomain(domain);
  const chom = await session.open();
  const operation = await resumeSite(chom, domain, options);
  return await follow(session, chom, operation, { ...options, needsWorker: true });
}

/**
 * Asks for a site to be suspended. `reason`: up to 500 characters.
 * @throws InvalidInput; NotFound no such site; Conflict it is not in service; Busy; TemporalUnavailable
 */
export async function suspendSite(
  chom: Chom,
  { domain: text, reason = null, wait = true, operation }: { domain: string; reason?: string | null } & Asking,
): Promise<string> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  suspensions.expectActive(site);
  const server = await serverOf(inventory.db, site);
  const parsed = suspensionPlan.safeParse({ ...recordedSite(site, server), reason });
  if (!parsed.success) throw failure('InvalidInput', 'A reason has 500 characters at most');
  const summary = `Suspend ${site.domain} on ${server.name}`;
  return await askForSite(chom, { kind: 'suspend-site', plan: parsed.data, summary, wait, operation });
}

/**
 * Asks for a suspended site to be opened again.
 * @throws InvalidInput; NotFound no such site; Conflict it is not suspended; Busy; TemporalUnavailable
 */
export async function resumeSite(chom: Chom, text: string, { wait = true, operation }: Asking = {}): Promise<string> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  suspensions.expectSuspended(site);
  const server = await serverOf(inventory.db, site);
  const plan = repairPlan.parse(recordedSite(site, server));
  const summary = `Resume ${site.domain} on ${server.name}`;
  return await askForSite(chom, { kind: 'resume-site', plan, summary, wait, operation });
}
