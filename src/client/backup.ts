import type { Command } from 'commander';
import * as backups from '../inventory/backups.js';
import type { Backup, Snapshot } from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { backupId, type BackupKind } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { cleaningCommands } from './cleaning.js';
import { backUpDatabaseCommands } from './back-up-database.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import type { Chom } from './open.js';
import { restoreCommands } from './restore.js';
import { age, facts, quoted, size, table } from './text.js';

interface CreateOptions {
  files?: boolean;
  database?: boolean;
  storage?: string;
  tag?: string;
  maintenance?: boolean;
  retentionDays?: string;
  wait: boolean;
  detach?: boolean;
  timeout?: string;
}

/** `chom backup …` */
export function backupCommand(program: Command, cli: Cli): void {
  const backup = program.command('backup').description('backups of sites, and of CHOM itself');
  backup
    .command('create')
    .argument('<domain>', 'its domain or one of its aliases')
    .description('back a live site up, its database and then its files, and read the backup back')
    .option('--files', 'the files alone')
    .option('--database', 'the database alone')
    .option('--storage <name>', 'where it goes; the only storage unless said')
    .option('--tag <word>', 'what it is made for; manual unless said')
    .option('--maintenance', 'close the site meanwhile: files and database are then of one moment')
    .option('--retention-days <days>', 'keep it for at least so long, whatever the policy says')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom backup create example.org --tag before-update')
    .action(action(cli, create));
  backup
    .command('verify')
    .argument('<backup>', 'its id; or the domain of a site, whose newest complete backup it then is')
    .description('restore a backup beside its live site, compare it with its manifest, and ask for the first page')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      '\nExample:\n  chom backup verify example.org\n\nThe site serves meanwhile. What is restored has no network, no mail and no live database, and is removed.',
    )
    .action(action(cli, verify));
  backup
    .command('list')
    .argument('[domain]', 'without one: every site, the one whose newest verified backup is oldest first')
    .description('backups of a site, the newest first; or how every site stands')
    .option('--all', 'of a site: also those that failed or were deleted')
    .addHelpText('after', '\nExample:\n  chom backup list example.org')
    .action(action(cli, list));
  backup
    .command('show')
    .argument('<id>')
    .description('a backup and the snapshots that it consists of')
    .addHelpText('after', '\nExample:\n  chom backup show babcdefghi')
    .action(action(cli, show));
  restoreCommands(backup, cli);
  cleaningCommands(backup, cli);
  backUpDatabaseCommands(program, backup, cli);
}

async function create(session: Session, domain: string, options: CreateOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { checkNewBackup, createBackup } = await import('./new-backup.js');
  const { storage, tag, maintenance, wait, retentionDays: days } = options;
  const wanted = {
    ...{ domain, kind: kindOf(options), wait },
    ...(storage !== undefined && { storage }),
    ...(tag !== undefined && { tag }),
    ...(maintenance !== undefined && { maintenance }),
    ...(days !== undefined && { retentionDays: days.trim() === '' ? Number.NaN : Number(days) }),
  };
  checkNewBackup(wanted);
  const chom = await session.open();
  const { operation, plan } = await createBackup(chom, wanted);
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => await tellBackup(chom, await backups.byId(chom.inventory.db, plan.backup, chom)),
  });
}

async function verify(session: Session, text: string, options: FollowOptions & { wait: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  const { parseVerified, verifyBackup } = await import('./verify-backup.js');
  const wanted = parseVerified(text);
  const chom = await session.open();
  const { operation, plan } = await verifyBackup(chom, wanted, options);
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => await tellBackup(chom, await backups.byId(chom.inventory.db, plan.backup, chom)),
  });
}

function kindOf({ files, database }: CreateOptions): BackupKind {
  if (files && database) {
    throw failure('InvalidInput', '--files and --database are given both', {
      next: 'leave both out for a full backup',
    });
  }
  if (files) return 'files';
  return database ? 'database' : 'full';
}

async function list(session: Session, text: string | undefined, { all }: { all?: boolean }): Promise<void> {
  const domain = text === undefined ? null : parseDomain(text);
  const { tenant, inventory } = await session.open();
  if (domain === null) return await listSites(session);
  const site = await sites.byDomain(inventory.db, domain, { tenant });
  const found = await backups.list(inventory.db, { tenant, site: site.id });
  const shown = found.filter(({ state }) => all === true || (state !== 'failed' && state !== 'deleted'));
  if (shown.length === 0) session.output.say(`No backups yet. Next: chom backup create ${site.domain}`);
  const rows = shown.map((one) => [
    ...[one.id, ago(one.startedAt), one.kind, sizeOrNone(one.bytes), sizeOrNone(one.newBytes)],
    ...[one.state, lastVerified(one), one.tag],
  ]);
  const heading = ['BACKUP', 'AGE', 'TYPE', 'SIZE', 'NEW', 'STATE', 'LAST VERIFIED', 'TAG'];
  const document = { site: site.domain, backups: shown.map(backupDocument) };
  session.output.data(document, shown.length === 0 ? '' : table(heading, rows));
}

/** The number that matters: how old what is proven to restore is. */
async function listSites({ output, open }: Session): Promise<void> {
  const { tenant, inventory } = await open();
  const every = await backups.list(inventory.db, { tenant, states: ['partial', 'completed', 'verified'] });
  const all = (await sites.list(inventory.db, { tenant })).filter(({ status }) => status !== 'failed');
  const ofSite = new Map<string, Backup[]>(all.map(({ id }) => [id, []]));
  for (const one of every) ofSite.get(one.site)?.push(one);
  const standing = all.map((site) => {
    const its = ofSite.get(site.id) ?? [];
    const whole = its.find(({ state }) => state !== 'partial');
    const verified = its.find(({ state }) => state === 'verified');
    return { domain: site.domain, newest: whole ?? null, verified: verified ?? null, count: its.length };
  });
  const order = ({ verified }: (typeof standing)[number]) => verified?.startedAt ?? '';
  const sorted = standing.toSorted((a, b) => order(a).localeCompare(order(b)) || a.domain.localeCompare(b.domain));
  if (sorted.length === 0) output.say('No sites yet. Next: chom site create DOMAIN --server NAME');
  const rows = sorted.map(({ domain, newest, verified, count }) => [
    ...[domain, verified ? ago(verified.startedAt) : 'never'],
    ...[newest ? standingOf(newest) : 'never', String(count)],
  ]);
  const document = sorted.map(({ domain, newest, verified, count }) => ({
    ...{ site: domain, count },
    newestVerified: verified && backupDocument(verified),
    newest: newest && backupDocument(newest),
  }));
  output.data({ sites: document }, rows.length === 0 ? '' : table(['SITE', 'VERIFIED', 'NEWEST', 'BACKUPS'], rows));
}

async function show(session: Session, text: string): Promise<void> {
  if (!backupId.safeParse(text).success) {
    throw failure('InvalidInput', `${quoted(text)} is no backup id`, { next: 'chom backup list DOMAIN' });
  }
  const chom = await session.open();
  const { document, text: shown } = await tellBackup(chom, await backups.byId(chom.inventory.db, text, chom));
  session.output.data(document, shown);
}

/** A backup with its snapshots and where they lie. */
export async function tellBackup({ inventory: { db } }: Chom, backup: Backup): Promise<Told> {
  const { domain } = await sites.byId(db, backup.site);
  const repository = await repositories.byId(db, backup.repository);
  const storage = await storages.byId(db, repository.storage);
  const snapshots = await backups.snapshotsOf(db, backup.id);
  const { id, kind, state, tag, startedAt, finishedAt, verifiedAt, apartSeconds, manifestSha256, reason } = backup;
  const { verifyFailedAt, verifyFailure } = backup;
  const text = [
    facts([
      ...([
        ['backup', id],
        ['site', domain],
        ['type', kind],
        ['state', state],
        ['made for', tag],
        ['started', startedAt],
        ['finished', finishedAt],
        ['last verified', verifiedAt ?? 'never'],
        ['does not restore', verifyFailedAt && `${verifyFailedAt}: ${verifyFailure}`],
        ['size', sizeOrNone(backup.bytes)],
        ['new', sizeOrNone(backup.newBytes)],
        ['files', backup.files === null ? null : String(backup.files)],
        ['files follow the dump by', apartSeconds === null ? null : `${apartSeconds} s`],
        ['storage', `${storage.name} (${repository.url})`],
        ['manifest', manifestSha256 && `SHA-256 ${manifestSha256}`],
        ['why', reason],
      ] as const),
    ]),
    ...snapshots.map((one) => `${one.role.padEnd(8)}  ${one.id}  ${size(one.bytes)}`),
  ].join('\n');
  return {
    document: {
      backup: {
        ...backupDocument(backup),
        site: domain,
        storage: storage.name,
        snapshots: snapshots.map(snapshotDocument),
      },
    },
    text,
  };
}

function ago(at: string): string {
  return age(Date.now() - Date.parse(at));
}

function sizeOrNone(count: number | null): string {
  return count === null ? '' : size(count);
}

/** When it was last seen to restore, or not to. */
function lastVerified({ verifiedAt, verifyFailedAt }: Backup): string {
  if (verifyFailedAt !== null) return `failed ${ago(verifyFailedAt)} ago`;
  return verifiedAt === null ? 'never' : ago(verifiedAt);
}

function standingOf({ startedAt, verifyFailedAt }: Backup): string {
  return verifyFailedAt === null ? ago(startedAt) : `${ago(startedAt)} (does not restore)`;
}

/** A backup as programs read it; sizes in bytes. */
function backupDocument(backup: Backup): object {
  const { id, operation, kind, tag, state, startedAt, finishedAt, verifiedAt, files, newBytes, reason } = backup;
  const { bytes, manifestSha256, apartSeconds, retentionDays, verifyFailedAt, verifyFailure } = backup;
  return {
    ...{ id, operation, kind, tag, state, startedAt, finishedAt, verifiedAt, bytes, newBytes, files },
    ...{ manifestSha256, apartSeconds, retentionDays, reason, verifyFailedAt, verifyFailure },
  };
}

function snapshotDocument({ id, role, bytes, newBytes, files }: Snapshot): object {
  return { id, role, bytes, newBytes, files };
}
