import type { Command } from 'commander';
import * as backups from '../inventory/backups.js';
import * as restores from '../inventory/restores.js';
import type { Restore } from '../inventory/restores.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { UNDO_HOURS } from '../workflows/restore-plan.js';
import { askYesNo, interactive } from './ask.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import type { RestoreDocument } from './documents/backup.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import type { NewRestore } from './new-restore.js';
import type { Chom } from './open.js';
import { age, facts, size } from './text.js';

interface UndoOptions extends FollowOptions {
  safetyBackup: boolean;
  confirm?: string;
  yes?: boolean;
  wait: boolean;
}

interface RestoreOptions extends UndoOptions {
  files?: boolean;
  database?: boolean;
  include?: string;
  to?: string;
  partial?: boolean;
  undoHours?: string;
}

/** `chom backup restore`, `chom backup undo-restore` */
export function restoreCommands(backup: Command, cli: Cli): void {
  const restore = backup
    .command('restore')
    .argument('<backup>', 'id of the backup, from `chom backup list`')
    .description('restore a backup beside its site, compare it, and put it in the place of what is there')
    .option('--files', 'the files alone')
    .option('--database', 'the database alone')
    .option('--include <path>', 'one file or directory alone, for example app/wp-content/uploads')
    .option('--to <domain>', 'into another site of yours, which is live, perhaps on another server')
    .option('--partial', 'also a backup that lacks something')
    .option('--undo-hours <hours>', `keep what is there now for so long; ${UNDO_HOURS} unless said`);
  common(restore)
    .addHelpText(
      'after',
      `
The site shows a maintenance page from the backup of what is there now to the switch. What was restored has to answer,
or what was there comes back by itself; for ${UNDO_HOURS} hours \`chom backup undo-restore OPERATION\` brings it back as well.

Examples:
  chom backup restore babcdefghi
  chom backup restore babcdefghi --include app/wp-content/uploads`,
    )
    .action(action(cli, restoreOne));
  const undo = backup
    .command('undo-restore')
    .argument('<operation>', 'the operation that restored')
    .description('put back what was there before a restore, and back up what is there now');
  common(undo)
    .addHelpText('after', '\nExample:\n  chom backup undo-restore restore-backup-abcdefghijkl')
    .action(action(cli, undoOne));
}

function common(command: Command): Command {
  return command
    .option('--no-safety-backup', 'make no backup of what is there now; wants --confirm')
    .option('--confirm <domain>', 'the domain of the site, for --no-safety-backup')
    .option('--yes', 'do not ask')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout);
}

async function restoreOne(session: Session, id: string, options: RestoreOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { checkNewRestore, planRestore, restoreBackup } = await import('./new-restore.js');
  const wanted = wantedOf(id, options);
  checkNewRestore(wanted);
  const chom = await session.open();
  const { domain } = await planRestore(chom, wanted);
  const backup = await backups.byId(chom.inventory.db, id, chom);
  const made = `${size(backup.bytes ?? 0)}, ${age(Date.now() - Date.parse(backup.startedAt))} old`;
  if (!(await agreed(session, options, { domain, question: `Restore ${id} (${made}) into ${domain}?` }))) return 1;
  const { operation } = await restoreBackup(chom, wanted);
  const tell = async () => await tellRestore(chom, operation);
  return await follow(session, chom, operation, { ...options, needsWorker: true, tell });
}

async function undoOne(session: Session, id: string, options: UndoOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { planUndo, undoRestore } = await import('./undo-restore.js');
  const { wait, safetyBackup } = options;
  const chom = await session.open();
  const { domain } = await planUndo(chom, { operation: id });
  const question = `Put back what ${domain} was before ${id}?`;
  if (!(await agreed(session, options, { domain, question }))) return 1;
  const { operation } = await undoRestore(chom, { operation: id, safetyBackup, wait });
  const tell = async () => await tellRestore(chom, id);
  return await follow(session, chom, operation, { ...options, needsWorker: true, tell });
}

/** @throws InvalidInput without a safety backup and without its confirmation */
async function agreed(
  session: Session,
  { safetyBackup, confirm: given, yes }: UndoOptions,
  { domain, question }: { domain: string; question: string },
): Promise<boolean> {
  if (!safetyBackup) {
    await confirm(session, domain, given);
    return true;
  }
  // It can be taken back: whoever runs it from a program has meant it.
  return yes === true || !interactive(session.cli) || (await askYesNo(session.cli, question)) === true;
}

function wantedOf(backup: string, options: RestoreOptions): NewRestore {
  const { files, database, include, to, partial, undoHours, safetyBackup, wait } = options;
  if (files && database) {
    throw failure('InvalidInput', '--files and --database are given both', { next: 'leave both out for everything' });
  }
  return {
    ...{ backup, safetyBackup, wait },
    ...(files && { only: 'files' as const }),
    ...(database && { only: 'database' as const }),
    ...(include !== undefined && { path: include.replace(/\/+$/, '') }),
    ...(to !== undefined && { to }),
    ...(partial !== undefined && { partial }),
    ...(undoHours !== undefined && { undoHours: undoHours.trim() === '' ? Number.NaN : Number(undoHours) }),
  };
}

/** What was restored into which site, and how it can be undone. */
async function tellRestore({ inventory: { db } }: Chom, operation: string): Promise<Told> {
  const restore = await restores.byOperation(db, operation);
  const { domain } = await sites.byId(db, restore.site);
  const undoable =
    restore.state === 'restored' ? `until ${restore.undoUntil}: chom backup undo-restore ${operation}` : null;
  const text = facts([
    ['restored', whatOf(restore)],
    ['from', restore.backup],
    ['into', domain],
    ['state', restore.state],
    ['before that', restore.safety && `backup ${restore.safety}`],
    ['undo', undoable],
  ]);
  return { document: { restore: restoreDocument(restore, domain) }, text };
}

function whatOf({ files, database, path }: Restore): string {
  if (path !== null) return path;
  return [files && 'files', database && 'database'].filter(Boolean).join(' and ');
}

/** A restore as programs read it. */
export function restoreDocument(restore: Restore, site: string): RestoreDocument {
  const { operation, backup, files, database, path, state, safety, beganAt, restoredAt, undoUntil } = restore;
  return { operation, backup, site, files, database, path, state, safety, beganAt, restoredAt, undoUntil };
}
