import { z } from 'zod';
import { backupId, backupPlan } from './backup-plan.js';
import { repairPlan, siteId } from './plans.js';

/** By this name a restore owes the removal of what was there before. */
export const UNDO_WINDOW = 'undo-window';

/** For so long a restore can be undone unless its caller says otherwise, and at most. */
export const UNDO_HOURS = 24;
export const MOST_UNDO_HOURS = 30 * 24;

/** The site whose content is exchanged, what of it, and the backup that is made of it before. */
const exchange = repairPlan.extend({
  files: z.boolean(),
  /** The content of its database; whether it has one says `database`. */
  dump: z.boolean(),
  /** One file or directory below `app` or `shared` instead of all files. */
  path: z.string().max(4096).nullable(),
  /** Null: none is made. */
  safety: backupPlan.nullable(),
});
export type ExchangePlan = z.infer<typeof exchange>;

/** Input of restore-backup. */
export const restorePlan = exchange.extend({
  backup: backupId,
  /** The site that the backup is of. */
  from: siteId,
  /** A backup that lacks something may be restored. */
  partial: z.boolean(),
  undoHours: z.int().min(1).max(MOST_UNDO_HOURS),
});
export type RestorePlan = z.infer<typeof restorePlan>;

/** Input of undo-restore. */
export const undoRestorePlan = exchange.extend({
  /** The operation that restored what is undone. */
  restore: z.string(),
});
export type UndoRestorePlan = z.infer<typeof undoRestorePlan>;

/** Input of end-undo-window; whose stands in its id (inventory/tries.ts). */
export const undoWindowPlan = z.strictObject({
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  site: siteId,
});
export type UndoWindowPlan = z.infer<typeof undoWindowPlan>;

/** What a backup says of itself, as far as a restore goes by it. */
export interface ManifestFacts {
  format: 1;
  /** Of the backup. */
  operation: string;
  site: string;
  database: {
    bytes: number;
    sha256: string;
    rows: number;
    tables: number;
    charset: string;
    collation: string;
  } | null;
  files: { files: number; directories: number; links: number; bytes: number } | null;
}

/** A restore whose copy lies beside the site: which operation's, and with what character set it came. */
export interface Beside {
  restore: string;
  charset: string | null;
  collation: string | null;
}

/** How a site that was opened answers. */
export interface Published {
  version: string;
  /** Over HTTPS. */
  secure: boolean;
}
