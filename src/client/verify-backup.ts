import type { Backup } from '../inventory/backups.js';
import * as backups from '../inventory/backups.js';
import { expectLive, serverOf } from '../inventory/in-service.js';
import * as sites from '../inventory/sites.js';
import { backupId } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { verificationPlan, type VerificationPlan } from '../workflows/verification-plan.js';
import { type Asking, askForSite } from './ask-for.js';
import { parseDomain } from './domain.js';
import type { Chom } from './open.js';
import { namedSite } from './site-plan.js';

/** What is to be verified: one backup, or the newest complete one of a site, by its domain or an alias. */
export type Verified = { backup: string } | { domain: string };

/** From what the operator typed. @throws InvalidInput it is neither an id nor a domain */
export function parseVerified(text: string): Verified {
  return backupId.safeParse(text).success ? { backup: text } : { domain: parseDomain(text) };
}

/**
 * Asks for a backup to be restored into a scratch place beside its live site, compared, and tried.
 * @throws InvalidInput; NotFound no such backup, site or server; Conflict the backup is not complete, or the site not live; Busy; TemporalUnavailable
 */
export async function verifyBackup(
  chom: Chom,
  wanted: Verified,
  { wait = true, operation: id, priority }: Asking = {},
): Promise<{ operation: string; plan: VerificationPlan }> {
  const { db } = chom.inventory;
  const backup = await backupOf(chom, wanted);
  const site = await sites.byId(db, backup.site);
  expectLive(site, 'a backup is verified beside the site that is live');
  const server = await serverOf(db, site);
  const plan = verificationPlan.parse({ ...namedSite(site, server), backup: backup.id, kind: backup.kind });
  const summary = `Verify backup ${backup.id} of ${site.domain} on ${server.name}`;
  const operation = await askForSite(chom, { kind: 'verify-backup', plan, summary, wait, operation: id, priority });
  return { operation, plan };
}

async function backupOf({ tenant, inventory: { db } }: Chom, wanted: Verified): Promise<Backup> {
  if ('backup' in wanted) {
    const backup = await backups.byId(db, wanted.backup, { tenant });
    if (backup.state === 'completed' || backup.state === 'verified') return backup;
    throw failure('Conflict', `Backup ${backup.id} is ${backup.state}`, {
      cause: 'only a complete backup is verified',
      next: `chom backup show ${backup.id}`,
    });
  }
  const site = await sites.byDomain(db, parseDomain(wanted.domain), { tenant });
  const [newest] = await backups.list(db, { tenant, site: site.id, states: ['completed', 'verified'] });
  if (newest) return newest;
  throw failure('NotFound', `Site ${site.domain} has no complete backup`, {
    next: `chom backup create ${site.domain}`,
  });
}
