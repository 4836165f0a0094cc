import * as backups from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import { expectRestorable } from '../inventory/restorable.js';
import * as sites from '../inventory/sites.js';
import { backupId } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { MOST_UNDO_HOURS, type RestorePlan, restorePlan, UNDO_HOURS } from '../workflows/restore-plan.js';
import { type Asking, askForSite } from './ask-for.js';
import { parseDomain } from './domain.js';
import { exchangePlan } from './exchange-plan.js';
import type { Chom } from './open.js';
import { quoted } from './text.js';

/** A restore as it is wanted, in the operator's words. */
export interface NewRestore extends Asking {
  /** Id of the backup. */
  backup: string;
  /** All that the backup holds unless said. */
  only?: 'files' | 'database';
  /** One file or directory alone, relative to the site: `app/…` or `shared/…`. */
  path?: string;
  /** Domain of another site that it goes into. */
  to?: string;
  /** False: no backup of what is there is made before. */
  safetyBackup?: boolean;
  /** A backup that lacks something will do. */
  partial?: boolean;
  /** For so long what was there before is kept; 24 unless said. */
  undoHours?: number;
}

/**
 * Asks for a backup to be restored. Everything that can be known beforehand is checked before anything is written.
 * @throws InvalidInput; NotFound; Conflict the site is not live, or the backup does not count; Busy; TemporalUnavailable
 */
export async function restoreBackup(chom: Chom, wanted: NewRestore): Promise<{ operation: string; plan: RestorePlan }> {
  const plan = await planRestore(chom, wanted);
  const summary = `Restore ${plan.backup} into ${plan.domain} on ${plan.serverName}`;
  const request = { kind: 'restore-backup', plan, summary, wait: wanted.wait ?? true } as const;
  const operation = await askForSite(chom, { ...request, operation: wanted.operation });
  return { operation, plan };
}

/** What would be asked for. @throws as `restoreBackup` */
export async function planRestore(chom: Chom, wanted: NewRestore): Promise<RestorePlan> {
  checkNewRestore(wanted);
  const { only, path = null, to, safetyBackup = true, partial = false, undoHours = UNDO_HOURS } = wanted;
  const { tenant, inventory } = chom;
  const { id, site: of, repository } = await backups.byId(inventory.db, wanted.backup, { tenant });
  const holds = new Set((await backups.snapshotsOf(inventory.db, id)).map(({ role }) => role));
  const files = path !== null || only === 'files' || (only === undefined && holds.has('files'));
  const dump = path === null && (only === 'database' || (only === undefined && holds.has('database')));
  const from = await sites.byId(inventory.db, of);
  const site = to === undefined ? from : await sites.byDomain(inventory.db, parseDomain(to), { tenant });
  await expectRestorable(inventory.db, { tenant, backup: id, files, dump, partial }, site);
  if (site.type !== from.type && path === null) {
    throw failure(
      'InvalidInput',
      `${site.domain} is a site of type ${site.type}, and the backup of type ${from.type}`,
      {
        next: `chom site create DOMAIN --server NAME --type ${from.type}`,
      },
    );
  }
  const { storage } = await repositories.byId(inventory.db, repository);
  const exchange = await exchangePlan(chom, site, { files, dump, path, safetyInto: safetyBackup ? storage : null });
  return restorePlan.parse({ ...exchange, backup: id, from: from.id, partial, undoHours });
}

/** What is wrong with it by itself. @throws InvalidInput */
export function checkNewRestore({ backup, only, path, to, undoHours = UNDO_HOURS }: NewRestore): void {
  if (!backupId.safeParse(backup).success) {
    throw failure('InvalidInput', `${quoted(backup)} is no backup id`, { next: 'chom backup list DOMAIN' });
  }
  if (path !== undefined && only !== undefined) {
    throw failure('InvalidInput', 'A path is restored alone', { next: 'leave --files and --database out' });
  }
  if (path !== undefined) checkPath(path);
  if (to !== undefined) parseDomain(to);
  if (!Number.isInteger(undoHours) || undoHours < 1 || undoHours > MOST_UNDO_HOURS) {
    throw failure('InvalidInput', 'What was there before is kept for a whole number of hours', {
      cause: `from 1 to ${MOST_UNDO_HOURS}`,
    });
  }
}

function checkPath(path: string): void {
  const [first, ...below] = path.split('/');
  const inside = below.length > 0 && below.every((name) => name !== '' && name !== '.' && name !== '..');
  if (inside && (first === 'app' || first === 'shared') && !/[\0\n]/.test(path)) return;
  throw failure('InvalidInput', `${quoted(path)} is no path of a site`, {
    cause: 'It begins with app/ or shared/, and leads nowhere else',
    next: '--include app/wp-content/uploads, for example',
  });
}
