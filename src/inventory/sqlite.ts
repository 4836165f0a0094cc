import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type SelectModifierNode,
  SqliteDialect,
  SqliteDriver,
  SqliteQueryCompiler,
} from 'kysely';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { retrying } from './faults.js';
import { ReadingDriver } from './reading.js';

/** How long SQLite itself may wait for a lock. It blocks the event loop meanwhile; `retrying` does the real waiting. */
const BUSY_MILLISECONDS = 50;

/**
 * Two connections to one file: in WAL mode the reading one never waits for the writing one, and a query outside of
 * a running transaction never waits for its own process.
 */
export function sqliteDialects(file: string, patience: number): { reading: Dialect; writing: Dialect } {
  const open = (readonly: boolean) => () => retrying(patience, async () => connect(file, readonly));
  return {
    reading: new InventoryDialect(open(true), (driver) => new ReadingDriver(driver, patience)),
    writing: new InventoryDialect(open(false), (driver) => driver),
  };
}

type Open = () => Promise<Sqlite.Database>;

function connect(file: string, readonly: boolean): Sqlite.Database {
  createFile(file);
  const database = new Sqlite(file, { timeout: BUSY_MILLISECONDS });
  try {
    database.pragma('journal_mode = wal');
    // A commit is on the disk before anything that follows it happens on a host.
    database.pragma('synchronous = full');
    database.pragma('foreign_keys = on');
    if (readonly) database.pragma('query_only = on');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLite gives its journal the mode of the file, so that none of the three is for others to read. */
function createFile(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    throw failure('InventoryUnavailable', `The inventory ${file} cannot be opened`, {
      cause: messageOf(error),
    });
  }
}

class InventoryDialect extends SqliteDialect {
  constructor(
    private readonly open: Open,
    private readonly wrap: (driver: Driver) => Driver,
  ) {
    super({ database: open });
  }

  override createDriver(): Driver {
    return this.wrap(new ImmediateDriver(this.open));
  }

  override createQueryCompiler(): SqliteQueryCompiler {
    return new LocklessCompiler();
  }
}

/** A transaction that reads first and writes later would fail at once with BUSY_SNAPSHOT if it began plainly. */
class ImmediateDriver extends SqliteDriver {
  private readonly opened: { database?: Sqlite.Database };

  constructor(open: Open) {
    const opened: { database?: Sqlite.Database } = {};
    super({ database: async () => (opened.database = await open()) });
    this.opened = opened;
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  /** A full disk, for one, has rolled back already; a second try would fail and hide why. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.opened.database?.inTransaction !== false) await super.rollbackTransaction(connection);
  }
}

/** SQLite has no row locks and, with BEGIN IMMEDIATE, needs none: `for update` and `for share` are left out. */
class LocklessCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (node.modifier !== 'ForUpdate' && node.modifier !== 'ForShare') super.visitSelectModifier(node);
  }
}
