import { z } from 'zod';
import { failure } from '../workflows/failures.js';
import type { Output } from './host.js';
import { readResult } from './restic-result.js';

const snapshotId = z.string().regex(/^[0-9a-f]{64}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

const saved = z.object({
  /** restic's id in full. */
  snapshot: snapshotId,
  /** Seconds since the epoch, by the server's clock. */
  startedAt: count,
  endedAt: count,
  bytes: count,
  /** What the repository did not have yet, before compression and as it was written. */
  newBytes: count,
  storedBytes: count,
});

/**
 * What a manifest says beside its lists of tables, views and routines (`contents`, which a restore compares with). It is
 * the last snapshot of a backup: without it there is none.
 */
const facts = z.object({
  format: z.literal(1),
  operation: z.string(),
  site: z.string(),
  kind: z.enum(['full', 'files', 'database']),
  type: z.string(),
  domain: z.string(),
  php: z.string().nullable(),
  excluded: z.array(z.string()),
  database: saved
    .extend({
      server: z.string(),
      charset: z.string(),
      collation: z.string(),
      /** Of the dump. */
      sha256,
      rows: count,
      tables: count,
      views: count,
      /** Tables of engines without transactions: read one after the other, as each was then. */
      notTransactional: count,
      /** With the earlier rows of tables that keep them. */
      history: z.boolean(),
    })
    .nullable(),
  files: saved
    .extend({
      files: count,
      directories: count,
      links: count,
      /** Sockets, pipes: what has no content. */
      others: count,
      unreadable: z.object({ count, items: z.array(z.object({ path: z.string(), why: z.string() })) }),
    })
    .nullable(),
  /** From the moment that the dump shows to the end of reading the files. */
  apartSeconds: count.nullable(),
  madeAt: count,
});

const result = z.object({
  manifest: facts,
  manifestSnapshot: z.object({ id: snapshotId, sha256, bytes: count, newBytes: count, storedBytes: count }),
  snapshots: z.array(snapshotId),
});

export type BackupFacts = z.infer<typeof facts>;

/** A backup that was read back. */
export interface MadeBackup {
  facts: BackupFacts;
  snapshots: { role: 'database' | 'files' | 'manifest'; id: string; bytes: number; newBytes: number; files: number }[];
  manifestSha256: string;
  bytes: number;
  newBytes: number;
  files: number;
  /** Something could not be read: `facts.files.unreadable` says what. */
  partial: boolean;
  /** Of attempts that died: they belong to no backup, and are to be forgotten by whoever may. */
  leftover: string[];
}

/**
 * What `makeBackup` printed. Failures: by the scripts' exit codes (DatabaseLocked, DatabaseBroken, DiskFull, TimedOut …),
 * else those of restic. `storage` names it for the command to run next.
 */
export function readBackup(
  output: Output,
  host: { readonly name: string },
  named: { what: string; storage: string },
): MadeBackup {
  return parseBackup(readResult(output, host, named));
}

/** @throws Bug it is not what `makeBackup` prints */
export function parseBackup(stdout: string): MadeBackup {
  const read = result.safeParse(fromJson(stdout));
  if (!read.success) throw failure('Bug', 'A backup said what CHOM cannot read', { output: stdout.slice(0, 500) });
  const { manifest, manifestSnapshot, snapshots: all } = read.data;
  const { database, files } = manifest;
  const snapshots: MadeBackup['snapshots'] = [
    ...(database ? [{ role: 'database' as const, id: database.snapshot, ...sizes(database), files: 1 }] : []),
    ...(files ? [{ role: 'files' as const, id: files.snapshot, ...sizes(files), files: files.files }] : []),
    { role: 'manifest', id: manifestSnapshot.id, ...sizes(manifestSnapshot), files: 1 },
  ];
  return {
    facts: manifest,
    snapshots,
    manifestSha256: manifestSnapshot.sha256,
    bytes: sum(snapshots.map((one) => one.bytes)),
    newBytes: sum(snapshots.map((one) => one.newBytes)),
    files: files?.files ?? 0,
    partial: (files?.unreadable.count ?? 0) > 0,
    leftover: all.filter((id) => !snapshots.some((one) => one.id === id)),
  };
}

function sizes({ bytes, newBytes }: { bytes: number; newBytes: number }) {
  return { bytes, newBytes };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
