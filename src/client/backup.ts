import type { Command } from 'commander';
import * as backups from '../inventory/backups.js';
import type { BackupKind } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { cleaningCommands } from './cleaning.js';
import { backUpDatabaseCommands } from './back-up-database.js';
import { listBackedUp, listBackups, parseBackupId, showBackup, tellBackup } from './backup-document.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { restoreCommands } from './restore.js';

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
  const chom = await session.open();
  if (domain === null) {
    const told = await listBackedUp(chom);
    if (told.document.sites.length === 0)
      session.output.say('No sites yet. Next: chom site create DOMAIN --server NAME');
    return session.output.data(told.document, told.text);
  }
  const told = await listBackups(chom, domain, all === true);
  const { site, backups: found } = told.document;
  if (found.length === 0) session.output.say(`No backups yet. Next: chom backup create ${site}`);
  session.output.data(told.document, told.text);
}

async function show(session: Session, text: string): Promise<void> {
  const id = parseBackupId(text);
  const { document, text: shown } = await showBackup(await session.open(), id);
  session.output.data(document, shown);
}
