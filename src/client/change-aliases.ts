import type { Command } from 'commander';
import { expectLive, serverOf } from '../inventory/in-service.js';
import * as sites from '../inventory/sites.js';
import { type AliasesPlan, aliasesPlan } from '../workflows/aliases-plan.js';
import { failure } from '../workflows/failures.js';
import { type Asking, askForSite } from './ask-for.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import type { Chom } from './open.js';
import { recordedSite } from './site-plan.js';
import { refuseTaken } from './taken-names.js';

interface Options extends FollowOptions {
  wait: boolean;
}

/** More names of a site, or fewer. */
export interface AliasChange extends Asking {
  /** Its domain or one of its aliases. */
  domain: string;
  add?: readonly string[];
  remove?: readonly string[];
}

/** `chom site alias add`, `chom site alias remove` */
export function aliasCommands(site: Command, cli: Cli): void {
  const alias = site.command('alias').description('other names of a site');
  common(alias.command('add'))
    .description('let a site answer by more names, and get a certificate with them in it')
    .addHelpText('after', '\nExample:\n  chom site alias add example.org www.example.org')
    .action(action(cli, changing('add')));
  common(alias.command('remove'))
    .description('let a site answer by a name no more, which is then free')
    .addHelpText('after', '\nExample:\n  chom site alias remove example.org www.example.org')
    .action(action(cli, changing('remove')));
}

function common(command: Command): Command {
  return command
    .argument('<domain>', 'its domain or one of its aliases')
    .argument('<alias...>', 'also with letters beyond ASCII')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout);
}

function changing(what: 'add' | 'remove') {
  return async (session: Session, domain: string, names: string[], options: Options): Promise<number> => {
    parseTimeout(options.timeout);
    parseDomain(domain);
    for (const name of names) parseDomain(name, 'alias');
    const chom = await session.open();
    const operation = await changeAliases(chom, { domain, [what]: names, wait: options.wait });
    return await follow(session, chom, operation, { ...options, needsWorker: true });
  };
}

/**
 * Asks for a site to have other aliases.
 * @throws InvalidInput; NotFound no such site or alias; Conflict a name is taken, or the site not in service; Busy; TemporalUnavailable
 */
export async function changeAliases(chom: Chom, wanted: AliasChange): Promise<string> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(wanted.domain), { tenant });
  expectLive(site, 'aliases are those of a site in service');
  const server = await serverOf(inventory.db, site);
  const add = [...new Set((wanted.add ?? []).map((name) => parseDomain(name, 'alias')))];
  const remove = [...new Set((wanted.remove ?? []).map((name) => parseDomain(name, 'alias')))];
  const known = add.find((name) => name === site.domain || site.aliases.includes(name));
  if (known !== undefined) throw failure('Conflict', `Site ${site.domain} has the name ${known}`);
  await refuseTaken(chom, add);
  const missing = remove.find((name) => !site.aliases.includes(name));
  if (missing !== undefined) {
    throw failure('NotFound', `${missing} is no alias of ${site.domain}`, { next: `chom site show ${site.domain}` });
  }
  const aliases = [...site.aliases.filter((name) => !remove.includes(name)), ...add];
  const parsed = aliasesPlan.safeParse({ ...recordedSite(site, server), aliases, before: site.aliases });
  if (!parsed.success) throw failure('InvalidInput', 'A site has 99 aliases at most');
  const plan: AliasesPlan = parsed.data;
  const summary = `Change the aliases of ${site.domain} on ${server.name}`;
  const { wait = true, operation } = wanted;
  return await askForSite(chom, { kind: 'change-aliases', plan, summary, wait, operation });
}
