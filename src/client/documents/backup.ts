import { z } from 'zod';
import { BACKUP_KINDS } from '../../workflows/backup-plan.js';
import { eachFollowed } from './operation.js';
import { policy } from './site.js';
import { maybeTime, named, text, time } from './values.js';

const count = z.number().nullable();
const state = z.enum(['creating', 'partial', 'completed', 'verified', 'failed', 'deleting', 'deleted']);

/** Sizes in bytes. */
export const backup = named(
  'Backup',
  z.strictObject({
    id: z.string(),
    operation: z.string(),
    kind: z.enum(BACKUP_KINDS),
    tag: z.string(),
    state,
    startedAt: time,
    finishedAt: maybeTime,
    verifiedAt: maybeTime,
    bytes: count,
    newBytes: count,
    files: count,
    manifestSha256: text,
    apartSeconds: count,
    retentionDays: count,
    reason: text,
    verifyFailedAt: maybeTime,
    verifyFailure: text,
  }),
);

export const snapshot = named(
  'Snapshot',
  z.strictObject({
    id: z.string(),
    role: z.enum(['files', 'database', 'manifest']),
    bytes: z.number(),
    newBytes: z.number(),
    files: z.number(),
  }),
);

export const backups = z.strictObject({ site: z.string(), backups: z.array(backup) });
export const backedUp = z.strictObject({
  sites: z.array(
    z.strictObject({
      site: z.string(),
      count: z.int(),
      newestVerified: backup.nullable(),
      newest: backup.nullable(),
    }),
  ),
});
export const toldBackup = {
  backup: backup.extend({ site: z.string(), storage: z.string(), snapshots: z.array(snapshot) }),
};
export const wholeBackup = z.strictObject(toldBackup);

export const restore = named(
  'Restore',
  z.strictObject({
    operation: z.string(),
    backup: z.string(),
    site: z.string(),
    files: z.boolean(),
    database: z.boolean(),
    path: text,
    state: z.enum(['restoring', 'restored', 'undone', 'failed', 'ended']),
    safety: text,
    beganAt: time,
    restoredAt: maybeTime,
    undoUntil: maybeTime,
  }),
);

/** Why a backup stays or goes. */
const reason = z.strictObject({
  rule: z.string(),
  text: z.string(),
  operation: z.string().optional(),
  days: z.int().optional(),
  bucket: z.string().optional(),
  deletedAt: time.optional(),
});

export const verdict = named(
  'Verdict',
  z.strictObject({
    id: z.string(),
    kind: z.enum(BACKUP_KINDS),
    bytes: count,
    state,
    startedAt: time,
    verdict: z.enum(['keep', 'remove']),
    reasons: z.array(reason),
  }),
);

export const judged = z.strictObject({
  site: z.string(),
  id: z.string(),
  storage: z.string(),
  policy,
  timezone: z.string(),
  siteDeletedAt: maybeTime,
  backups: z.array(verdict),
});

const removed = {
  site: z.string().optional(),
  storage: z.string().optional(),
  removed: z.array(z.string()),
  bytesBefore: z.number(),
  bytesAfter: z.number(),
  freed: z.number(),
};
export const cleaned = z.union([
  z.strictObject({ dryRun: z.boolean(), repositories: z.array(judged) }),
  z.strictObject({ cleaned: eachFollowed({}, removed) }),
]);
export const purged = z.strictObject({ purged: eachFollowed({}, removed) });
export type BackupDocument = z.infer<typeof backup>;
export type SnapshotDocument = z.infer<typeof snapshot>;
export type RestoreDocument = z.infer<typeof restore>;
export type VerdictDocument = z.infer<typeof verdict>;
export type JudgedDocument = z.infer<typeof judged>;
