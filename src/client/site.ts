import type { Command } from 'commander';
import type { Db } from '../inventory/database.js';
import * as certificates from '../inventory/certificates.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import * as retentions from '../inventory/retentions.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { aliasCommands } from './change-aliases.js';
import { certificateDocument } from './certificate.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { tellFindings } from './findings.js';
import { tellLogin } from './first-login.js';
import { describePolicy } from './keep-options.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type Told } from './follow.js';
import type { Chom } from './open.js';
import { deleteCommand } from './delete-site.js';
import { describeOwed, obligationDocument, operationDocument, statusOf } from './operation.js';
import { readPrivateKey } from './private-key.js';
import { repairCommand } from './repair-site.js';
import { siteSetCommand } from './retention.js';
import { suspensionCommands } from './suspend-site.js';
import { facts, table } from './text.js';

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
    .addHelpText('after', '\nExample:\n  chom site list --server web1')
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

async function list(session: Session, { server: name }: { server?: string }): Promise<void> {
  const { tenant, inventory } = await session.open();
  const server = name === undefined ? null : await servers.byName(inventory.db, tenant, name);
  const found = await sites.list(inventory.db, { tenant, ...(server && { server: server.id }) });
  const names = new Map((await servers.list(inventory.db, { tenant })).map((one) => [one.id, one.name]));
  const named = (site: Site) => names.get(site.server) ?? site.server;
  const rows = found.map((site) => [site.domain, site.status, typeOf(site), named(site), site.aliases.join(' ')]);
  if (found.length === 0) session.output.say('No sites yet. Next: chom site create DOMAIN --server NAME');
  const text = found.length === 0 ? '' : table(['DOMAIN', 'STATUS', 'TYPE', 'SERVER', 'ALIASES'], rows);
  session.output.data({ sites: found.map((site) => siteDocument(site, named(site))) }, text);
}

async function show(session: Session, text: string): Promise<void> {
  const domain = parseDomain(text);
  const { tenant, inventory } = await session.open();
  const site = await lookUp(inventory.db, tenant, domain);
  const [last] = await operations.list(inventory.db, { site: site.id, limit: 1 });
  const told = await tellSite(inventory.db, site);
  const lastLine = facts([['last operation', last && `${last.id} (${statusOf(last)}, ${last.askedAt})`]]);
  const lastOperation = last ? operationDocument(last) : null;
  session.output.data({ ...told.document, lastOperation }, [told.text, lastLine].filter(Boolean).join('\n'));
}

/** The site that holds a name, or the last one that had it as its domain and failed. @throws NotFound */
async function lookUp(db: Db, tenant: string, domain: string): Promise<Site> {
  const all = await sites.list(db, { tenant });
  const site =
    all.find((one) => one.domain === domain && one.status !== 'failed') ?? all.find((one) => one.domain === domain);
  if (site) return site;
  const holder = all.find((one) => one.status !== 'failed' && one.aliases.includes(domain));
  if (holder) return holder;
  throw failure('NotFound', `There is no site ${domain}`, { next: 'chom site list' });
}

/** A site with the certificate that it serves. */
export async function tellSite(db: Db, site: Site): Promise<Told> {
  const { name } = await servers.byId(db, site.server);
  const certificate = await certificates.installed(db, site.id);
  const owed = await obligations.stillOpen(db, { site: site.id });
  const { policy } = await retentions.ofSite(db, site.id);
  const text = facts([
    ['site', site.domain],
    ['id', site.id],
    ['status', site.status],
    ['suspended', site.suspendedAt && [`since ${site.suspendedAt}`, site.suspendedReason].filter(Boolean).join(': ')],
    ['url', `${certificate ? 'https' : 'http'}://${site.domain}/`],
    ['aliases', site.aliases.join(', ')],
    ['type', typeOf(site)],
    ['database', site.databaseName && `${site.databaseName}, by the socket as ${site.databaseName}`],
    ['server', name],
    [
      'certificate',
      certificate ? `until ${certificate.notAfter}, by ${certificate.issuer}` : site.tls ? 'none yet' : 'none wanted',
    ],
    ['backups kept', describePolicy(policy)],
    ['owed', describeOwed(owed)],
  ]);
  const document = {
    site: siteDocument(site, name),
    certificate: certificate && certificateDocument(certificate),
    obligations: owed.map(obligationDocument),
    retention: policy,
  };
  return { document, text };
}

async function tellNewSite(chom: Chom, operation: Operation, site: Site): Promise<Told> {
  const [told, login] = [await tellSite(chom.inventory.db, site), await tellLogin(chom, operation)];
  return {
    document: { ...told.document, ...login.document },
    text: [told.text, login.text].filter(Boolean).join('\n'),
  };
}

function siteDocument(site: Site, server: string): object {
  const { id, domain, aliases, type, php, databaseName: database, tls, status, createdAt } = site;
  const { suspendedAt, suspendedReason } = site;
  const suspended = suspendedAt === null ? null : { since: suspendedAt, reason: suspendedReason };
  return { id, domain, aliases, type, php, database, server, tls, status, suspended, createdAt };
}

function typeOf({ type, php }: Site): string {
  return php === null ? type : `${type} ${php}`;
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
