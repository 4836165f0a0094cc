import type { Command } from 'commander';
import type { Operation } from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import { aliasCommands } from './change-aliases.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { tellFindings } from './findings.js';
import { tellLogin } from './first-login.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type Told } from './follow.js';
import type { Chom } from './open.js';
import { deleteCommand } from './delete-site.js';
import { parseTag } from './names.js';
import { readPrivateKey } from './private-key.js';
import { repairCommand } from './repair-site.js';
import { siteSetCommand } from './retention.js';
import { listSites, showSite, tellSite } from './site-document.js';
import { suspensionCommands } from './suspend-site.js';
import { siteTagCommands } from './tag.js';

interface CreateOptions {
  server: string;
  type: string;
  php?: string;
  alias: string[];
  from?: string;
  deployKey?: string;
  tls: boolean;
  database?: boolean;
  title?: string;
  adminUser?: string;
  adminEmail?: string;
  wait: boolean;
  detach?: boolean;
  timeout?: string;
}

/** `chom site …` */
export function siteCommand(program: Command, cli: Cli): void {
  const site = program.command('site').description('web sites');
  site
    .command('create')
    .argument('<domain>', 'also with letters beyond ASCII')
    .description('set a site up on a server, live before its certificate is asked for')
    .requiredOption('--server <name>', 'server it will live on')
    .option('--type <type>', 'static, php, wordpress or laravel', 'static')
    .option('--php <version>', 'for all types but static; without it the newest that the server has')
    .option('--alias <domain>', 'another name of the site; may be given several times', collect, [])
    .option('--from <source>', 'directory, tar archive, or https or ssh URL of a git repository (URL#branch)')
    .option('--deploy-key <file>', 'private SSH key, without passphrase, that may read the repository')
    .option('--database', 'for type php: a database and its user; wordpress and laravel always have them')
    .option('--title <text>', 'for type wordpress; without it the domain')
    .option('--admin-user <name>', 'for type wordpress: its administrator; without it admin')
    .option('--admin-email <address>', "for type wordpress: its administrator's address")
    .option('--no-tls', 'without a certificate: HTTP alone')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      '\nExample:\n  chom site create example.org --server web1 --type php --alias www.example.org --from ./app\n  chom site create blog.example.org --server web1 --type wordpress --admin-email you@example.org\n  chom site create shop.example.org --server web1 --type laravel --from ./shop\n\nThe first password of a WordPress administrator is shown once, at the end: by this command, or by\n`chom op watch ID` where this one was left.',
    )
    .action(action(cli, create));
  site
    .command('list')
    .description('all sites')
    .option('--server <name>', 'only those of one server')
    .option('--tag <tag...>', 'only those that have it, or all of these')
    .addHelpText('after', '\nExamples:\n  chom site list --server web1\n  chom site list --tag live')
    .action(action(cli, list));
  site
    .command('show')
    .argument('<domain>', 'its domain or one of its aliases')
    .description('a site, its certificate and its last operation')
    .addHelpText('after', '\nExample:\n  chom site show example.org --json')
    .action(action(cli, show));
  site
    .command('doctor')
    .argument('<domain>', 'its domain or one of its aliases')
    .description(
      'look at a site, and say what is wrong with the command that mends it; exit status 1 when something is',
    )
    .addHelpText('after', '\nExample:\n  chom site doctor example.org')
    .action(action(cli, doctor));
  repairCommand(site, cli);
  siteSetCommand(site, cli);
  aliasCommands(site, cli);
  siteTagCommands(site, cli);
  suspensionCommands(site, cli);
  deleteCommand(site, cli);
}

async function doctor(session: Session, domain: string): Promise<number> {
  const chom = await session.open();
  const { inspectSite } = await import('./inspect.js');
  const { findings } = await inspectSite(chom, domain);
  return tellFindings(session.output, findings, { site: domain });
}

async function create(session: Session, domain: string, options: CreateOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { checkNewSite, createSite } = await import('./new-site.js');
  const { alias: aliases, detach: _, timeout: __, deployKey: file, ...rest } = options;
  const key = file === undefined ? undefined : await readPrivateKey(file, '--deploy-key');
  const wanted = { ...rest, domain, aliases, ...(key && { deployKey: key }) };
  const checked = checkNewSite(wanted);
  if (checked.domain !== domain.toLowerCase()) session.output.say(`${domain} is ${checked.domain} in DNS`);
  const chom = await session.open();
  const { operation, plan } = await createSite(chom, wanted);
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async (ended) => await tellNewSite(chom, ended, await sites.byId(chom.inventory.db, plan.site)),
  });
}

async function list(session: Session, { server, tag = [] }: { server?: string; tag?: string[] }): Promise<void> {
  const tags = tag.map((one) => parseTag(one));
  const { document, text } = await listSites(await session.open(), { server, tags });
  if (document.sites.length === 0 && tags.length > 0) session.output.say('No site has them');
  else if (document.sites.length === 0) session.output.say('No sites yet. Next: chom site create DOMAIN --server NAME');
  session.output.data(document, text);
}

async function show(session: Session, text: string): Promise<void> {
  const domain = parseDomain(text);
  const told = await showSite(await session.open(), domain);
  session.output.data(told.document, told.text);
}

async function tellNewSite(chom: Chom, operation: Operation, site: Site): Promise<Told> {
  const [told, login] = [await tellSite(chom.inventory.db, site), await tellLogin(chom, operation)];
  return {
    document: { ...told.document, ...login.document },
    text: [told.text, login.text].filter(Boolean).join('\n'),
  };
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
