import * as backups from '../inventory/backups.js';
import * as repositories from '../inventory/repositories.js';
import { expectInService } from '../inventory/restorable.js';
import * as restores from '../inventory/restores.js';
import * as sites from '../inventory/sites.js';
import { type UndoRestorePlan, undoRestorePlan } from '../workflows/restore-plan.js';
import { askForSite } from './ask-for.js';
import { exchangePlan } from './exchange-plan.js';
import type { Chom } from './open.js';

/** A restore that is to be undone. */
export interface Undoing {
  /** The operation that restored. */
  operation: string;
  /** False: no backup of what is there is made before. */
  safetyBackup?: boolean;
  /** False: refused where it would have to wait in line. */
  wait?: boolean;
}

/**
 * Asks for a restore to be undone: what was there before comes back, and what is there is backed up.
 * @throws NotFound; Conflict it cannot be undone; Busy; TemporalUnavailable
 */
export async function undoRestore(chom: Chom, wanted: Undoing): Promise<{ operation: string; plan: UndoRestorePlan }> {
  const plan = await planUndo(chom, wanted);
  const summary = `Undo the restore of ${plan.domain} on ${plan.serverName}`;
  const operation = await askForSite(chom, { kind: 'undo-restore', plan, summary, wait: wanted.wait ?? true });
  return { operation, plan };
}

/** What would be asked for. @throws as `undoRestore` */
export async function planUndo(chom: Chom, { operation, safetyBackup = true }: Undoing): Promise<UndoRestorePlan> {
  const { tenant, inventory } = chom;
  const restore = await restores.byOperation(inventory.db, operation, { tenant });
  await restores.expectUndoable(inventory.db, restore);
  const { files, database: dump, path } = restore;
  const site = await sites.byId(inventory.db, restore.site);
  await expectInService(inventory.db, site, restore.backup);
  const { repository } = await backups.byId(inventory.db, restore.backup);
  const { storage } = await repositories.byId(inventory.db, repository);
  const exchange = await exchangePlan(chom, site, { files, dump, path, safetyInto: safetyBackup ? storage : null });
  return undoRestorePlan.parse({ ...exchange, restore: operation });
}
