import { z } from 'zod';
import { domainName, PHP_VERSIONS, repairPlan, SITE_TYPES, siteId } from './plans.js';

/** What of a site is backed up. */
export const BACKUP_KINDS = ['full', 'files', 'database'] as const;
export type BackupKind = (typeof BACKUP_KINDS)[number];

/** A backup's id: all snapshots of one operation. Never re-used. */
export const backupId = z.string().regex(/^b[a-z2-7]{9}$/);

/** What a backup was made for: `manual`, `scheduled`, `pre-restore`, `final`, or the operator's own word. */
export const backupTag = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/);

/** The longest time for which a caller may have a backup kept. */
export const MOST_RETENTION_DAYS = 3650;

export const backupPlan = z.strictObject({
  backup: backupId,
  site: siteId,
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  domain: domainName,
  type: z.enum(SITE_TYPES),
  php: z.enum(PHP_VERSIONS).nullable(),
  /** The site has a database. Whether that is backed up says `kind`. */
  database: z.boolean(),
  kind: z.enum(BACKUP_KINDS),
  /** Id of the storage that it goes to. */
  storage: z.string(),
  storageName: z.string(),
  tag: backupTag,
  /** It is kept for at least so many days; null: as long as the policy keeps it. */
  retentionDays: z.int().min(1).max(MOST_RETENTION_DAYS).nullable(),
  /** The site, where it is closed meanwhile, so that files and database are of one moment. */
  maintenance: repairPlan.optional(),
});
export type BackupPlan = z.infer<typeof backupPlan>;

/** One snapshot of restic that a backup consists of. */
export interface MadeSnapshot {
  role: 'database' | 'files' | 'manifest';
  /** In full, 64 hexadecimal digits. */
  id: string;
  bytes: number;
  /** What the repository did not have yet. */
  newBytes: number;
  files: number;
}

/** What the host made and read back. */
export interface MadeBackup {
  snapshots: MadeSnapshot[];
  manifestSha256: string;
  /** By how many seconds the files follow the dump; null where one of them is missing. */
  apartSeconds: number | null;
  /** What could not be read, the first 50 by name: then it is partial. */
  unreadable: { count: number; items: string[] };
}
