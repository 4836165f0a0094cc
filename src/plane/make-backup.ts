import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Keyring } from '../inventory/keyring.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { readBackup, writeBackup, type Opener, type PartSource } from './backup-file.js';
import { syncDirectory } from './directory.js';
import { refuseDifferences, type Manifest, type Part, type PartName } from './manifest.js';
import type { SourceDatabase } from './source-database.js';

/** What goes into a backup beside its database. */
export interface Belongings {
  /** Which installation of CHOM. */
  controller: string | null;
  /** The keyring's file, sealed to the recovery key; null where there is no such key. */
  keyring: string | null;
  /** Settings as they are in the environment, without secrets. */
  settings: Readonly<Record<string, string>>;
}

export interface BackupOrder {
  /** Where it goes; made when missing. */
  to: string;
  /** Where it is put together: a directory of ours alone. */
  scratch: string;
  /** The public half of the recovery key, to encrypt everything with; null: it is not encrypted. */
  recovery: string | null;
  /** Restores it into a scratch database and compares, before it counts. */
  test: boolean;
  database: SourceDatabase;
  /** Null: the database is none of CHOM's. */
  belongings: Belongings | null;
}

/** A backup that was made. */
export interface Made {
  file: string;
  name: string;
  bytes: number;
  sha256: string;
  encrypted: boolean;
  /** It was restored and compared. */
  tested: boolean;
  /** The keyring is in it. */
  keyring: boolean;
  manifest: Manifest;
}

/** Takes a backup apart into a directory that is made, and checks every byte; the keyring in it stays sealed. */
export async function extractBackup(file: string, to: string, opener: Opener): Promise<Manifest> {
  await makeDirectory(to);
  if ((await readdir(to)).length > 0) {
    throw failure('Conflict', `The directory ${to} is not empty`, { next: 'name another one with --to DIR' });
  }
  return await readBackup(file, to, opener);
}

const DAY_MS = 24 * 3_600_000;

/** Ends of names, by which a directory's backups are known. */
export const SUFFIX = { plain: '.chom', encrypted: '.chom-sealed' } as const;

/**
 * Makes one file of the database and what belongs to it. Until it is whole, on the disk and, where that is wanted, tried out, it
 * has another name; whatever fails leaves nothing.
 */
export async function makeBackup({ to, scratch, recovery, test, database, belongings }: BackupOrder): Promise<Made> {
  await makeDirectory(to);
  await removeAbandoned(to, /^\..*\.partial$/);
  await removeAbandoned(scratch, /^backup-[A-Za-z0-9]{6}$/);
  const encrypted = recovery !== null;
  return await within(scratch, async (directory) => {
    const madeAt = new Date().toISOString();
    const { files, tables, version, schema } = await database.copy(directory);
    const parts = new Map<PartName, PartSource>([...files].map(([name, file]) => [name, { file }]));
    if (belongings) {
      const { keyring, settings } = belongings;
      if (keyring !== null) parts.set('keyring', { bytes: Buffer.from(keyring) });
      parts.set('settings', { bytes: Buffer.from(JSON.stringify(settings)) });
    }
    const manifest: Manifest = {
      madeAt,
      controller: belongings?.controller ?? null,
      database: { kind: database.kind, version, ...(schema !== undefined && { schema }) },
      tables,
      parts: await Promise.all([...parts].map(async ([name, source]) => await measured(name, source))),
    };
    const name = nameOf(madeAt, belongings ? 'control-plane' : database.kind, encrypted);
    const partial = join(to, `.${name}.partial`);
    try {
      const { dataKey, ...written } = await writeBackup(partial, { manifest, parts, ...(encrypted && { recovery }) });
      if (test) await testBackup(partial, { scratch, database, opener: dataKey ? { dataKey } : null });
      await rename(partial, join(to, name));
      await syncDirectory(to);
      const { keyring } = belongings ?? { keyring: null };
      const file = join(to, name);
      return { ...written, file, name, encrypted, tested: test, keyring: keyring !== null, manifest };
    } finally {
      await rm(partial, { force: true });
    }
  });
}

/**
 * Restores a backup into a scratch database and compares it table by table with what went in.
 * @throws BackupDamaged; Forbidden it is for another key; InvalidInput it is of another kind of database
 */
export async function testBackup(
  file: string,
  { scratch, database, opener }: { scratch: string; database: SourceDatabase; opener: Opener },
): Promise<Manifest> {
  return await within(scratch, async (directory) => {
    const manifest = await readBackup(file, directory, opener);
    const { kind } = manifest.database;
    if (kind !== database.kind) {
      throw failure(
        'InvalidInput',
        `The backup ${basename(file)} is of ${kind}, and the database here is ${database.kind}`,
        {
          next: kind === 'mysql' ? 'add --source mysql://USER@HOST/DATABASE' : 'set CHOM_DATABASE_URL as it was',
        },
      );
    }
    refuseDifferences(manifest.tables, await database.tryOut(directory, manifest));
    return manifest;
  });
}

/** The public half of the recovery key. @throws Forbidden there is none */
export function hasRecoveryKey(keyring: Keyring): string {
  if (keyring.recovery !== undefined) return keyring.recovery;
  throw failure('Forbidden', 'There is no recovery key, to which a backup could be encrypted', {
    cause: 'it is made at first use, and its private half shown once; nothing was written',
    next: 'chom recovery-kit, which makes it; keep what it shows away from this machine',
  });
}

function nameOf(at: string, what: string, encrypted: boolean): string {
  const when = at.replaceAll(/[-:.]/g, '');
  return `${what}-${when}${encrypted ? SUFFIX.encrypted : SUFFIX.plain}`;
}

async function measured(name: PartName, source: PartSource): Promise<Part> {
  const hash = createHash('sha256');
  if ('bytes' in source) {
    return { name, bytes: source.bytes.length, sha256: hash.update(source.bytes).digest('hex') };
  }
  for await (const some of createReadStream(source.file) as AsyncIterable<Buffer>) hash.update(some);
  return { name, bytes: (await stat(source.file)).size, sha256: hash.digest('hex') };
}

/** What is taken apart lies in the clear for as long as this takes, and for nobody else. */
async function within<Result>(scratch: string, fn: (directory: string) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(scratch, 'backup-'));
  try {
    return await fn(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a process that was killed has left there: nobody works on one backup for a day. */
async function removeAbandoned(directory: string, pattern: RegExp): Promise<void> {
  for (const name of (await readdir(directory)).filter((one) => pattern.test(one))) {
    const { mtimeMs } = await stat(join(directory, name));
    if (Date.now() - mtimeMs > DAY_MS) await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw failure('InvalidInput', `The directory ${directory} cannot be made`, {
      cause: messageOf(error),
      next: 'name another one with --to DIR',
    });
  });
}
