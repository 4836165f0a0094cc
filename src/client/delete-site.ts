import type { Command } from 'commander';
import * as backups from '../inventory/backups.js';
import * as obligations from '../inventory/obligations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { CERTIFICATE_DAYS, KEPT_CERTIFICATE } from '../workflows/deletion-plan.js';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions, type Told } from './follow.js';
import type { Chom } from './open.js';
import { facts } from './text.js';

interface DeleteOptions extends FollowOptions {
  confirm?: string;
  finalBackup: boolean;
  storage?: string;
  wait: boolean;
}

/** `chom site delete` */
export function deleteCommand(site: Command, cli: Cli): void {
  site
    .command('delete')
    .argument('<domain>', 'its domain or one of its aliases')
    .description('delete a site and everything that is its own on its server, after a last backup that is tried out')
    .option('--confirm <domain>', 'its domain once more; without it you are asked')
    .option('--storage <name>', 'for the last backup; without it the one that has its newest backup')
    .option('--no-final-backup', 'make no last backup: what is not in an earlier one is lost')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText(
      'after',
      `
It shows a maintenance page from the start. Until the last backup was made, restored for a trial and compared, whatever
fails brings the site back. Its backups are kept as the policy says, and at most 30 days. Its certificate and key stay on
the server for ${CERTIFICATE_DAYS} days, readable by root alone.

Example:
  chom site delete example.org --confirm example.org`,
    )
    .action(action(cli, remove));
}

async function remove(session: Session, text: string, options: DeleteOptions): Promise<number> {
  parseTimeout(options.timeout);
  const { deleteSite, siteToDelete } = await import('./new-deletion.js');
  const { confirm: given, finalBackup, storage, wait } = options;
  const chom = await session.open();
  const { domain } = await siteToDelete(chom, text);
  if (!finalBackup) session.output.say(`No backup of ${domain} is made: what is not in an earlier one is lost.`);
  await confirm(session, domain, given);
  const wanted = { domain, finalBackup, wait, ...(storage !== undefined && { storage }) };
  const { operation, site } = await deleteSite(chom, wanted);
  const tell = async () => await tellDeleted(chom, site.id);
  return await follow(session, chom, operation, { ...options, needsWorker: true, tell });
}

/** What is left of a deleted site, and how it comes back. */
async function tellDeleted({ inventory: { db } }: Chom, id: string): Promise<Told> {
  const { domain, status, deletedBy, server } = await sites.byId(db, id);
  const { name } = await servers.byId(db, server);
  const [backup] = await backups.list(db, { site: id, states: ['verified', 'completed'] });
  const kept = deletedBy === null ? null : await obligations.find(db, { operation: deletedBy, name: KEPT_CERTIFICATE });
  const certificate = kept?.state === 'open' ? { path: `/var/lib/chom/tls/${id}`, until: kept.due } : null;
  const text = facts([
    ['site', `${domain} (${id})`],
    ['status', status],
    ['last backup', backup && `${backup.id}, ${backup.state}`],
    ['certificate', certificate && `in ${certificate.path} on ${name} until ${certificate.until}`],
    ['comes back by', backup && `chom site create ${domain} …, then: chom backup restore ${backup.id} --to ${domain}`],
    ['backups go by', backup && `chom backup purge --site ${id} --confirm ${id}`],
  ]);
  return { document: { site: { id, domain, status }, backup: backup?.id ?? null, certificate }, text };
}
