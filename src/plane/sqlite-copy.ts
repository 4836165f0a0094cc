import { createHash, type Hash } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { SourceDatabase } from './source-database.js';
import type { Table } from './manifest.js';

/**
 * A SQLite file, copied by its online backup: within a transaction, whose moment is that of the copy and of the tables'
 * digests, however much is written meanwhile.
 */
export function sqliteDatabase(file: string): SourceDatabase {
  return {
    kind: 'sqlite',
    async copy(directory) {
      const to = join(directory, 'database');
      const source = opened(file);
      try {
        source.pragma('query_only = on');
        source.exec('begin');
        // The snapshot begins with the first reading.
        const tables = tablesOf(source);
        await source.backup(to);
        await chmod(to, 0o600);
        source.exec('commit');
        return { files: new Map([['database', to]]), tables, version: versionOf(source) };
      } finally {
        source.close();
      }
    },
    tryOut: async (directory) => await tablesOfFile(join(directory, 'database')),
  };
}

/** What a copy holds. @throws BackupDamaged it is no database that is whole */
export async function tablesOfFile(file: string): Promise<Table[]> {
  let copy: Sqlite.Database | undefined;
  try {
    copy = opened(file);
    const [found] = copy.pragma('integrity_check') as { integrity_check: string }[];
    if (found?.integrity_check !== 'ok') throw new Error(found?.integrity_check ?? 'nothing was found');
    const foreign = copy.pragma('foreign_key_check') as unknown[];
    if (foreign.length > 0) throw new Error(`${foreign.length} rows refer to others that are not there`);
    return tablesOf(copy);
  } catch (error) {
    throw failure('BackupDamaged', 'The copy of the database is not whole', { cause: messageOf(error) });
  } finally {
    copy?.close();
  }
}

function opened(file: string): Sqlite.Database {
  try {
    return new Sqlite(file, { fileMustExist: true, timeout: 5000 });
  } catch (error) {
    throw failure('InventoryUnavailable', `The database ${file} cannot be opened`, { cause: messageOf(error) });
  }
}

function versionOf(database: Sqlite.Database): string {
  return (database.prepare('select sqlite_version() as version').get() as { version: string }).version;
}

function tablesOf(database: Sqlite.Database): Table[] {
  const all = database
    .prepare(
      `select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name`,
    )
    .all() as { name: string }[];
  return all.map(({ name }) => {
    const hash = createHash('sha256');
    let rows = 0;
    const quoted = `"${name.replaceAll('"', '""')}"`;
    // A copy keeps each row's rowid.
    for (const row of database.prepare(`select * from ${quoted} order by rowid`).raw().safeIntegers().iterate()) {
      for (const value of row as unknown[]) absorb(hash, value);
      rows += 1;
    }
    return { name, rows, digest: hash.digest('hex') };
  });
}

/** A number, a text and bytes of the same look are not the same. */
function absorb(hash: Hash, value: unknown): void {
  const bytes = value instanceof Buffer ? value : Buffer.from(String(value));
  hash.update(`${value instanceof Buffer ? 'bytes' : value === null ? 'null' : typeof value} ${bytes.length} `);
  hash.update(bytes);
}
