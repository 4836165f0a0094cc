import { AsyncLocalStorage } from 'node:async_hooks';
import { CamelCasePlugin, Kysely, type Transaction } from 'kysely';
import { failure } from '../workflows/failures.js';
import { describeFault, isFault, isTransient, retrying } from './faults.js';
import { migrate } from './migrations.js';
import { postgresDialects } from './postgres.js';
import type { Schema } from './schema.js';
import { sqliteDialects } from './sqlite.js';

/** What a query runs on: `inventory.db` for reading, or the transaction at hand. */
export type Db = Kysely<Schema>;
/** Only inside `Inventory.transaction` or `Inventory.fenced`. */
export type Trx = Transaction<Schema>;

/** Who writes: refused unless the operation's row has this run, this epoch and no outcome. */
export interface Fence {
  operation: string;
  /** Temporal's run id. */
  run: string;
  epoch: number;
}

/** What CHOM knows, kept in a database of its own. */
export interface Inventory {
  /** For reading alone: a write on it is refused by the database. */
  readonly db: Db;
  /**
   * Runs `fn` in one transaction: all of its writes, or none. `fn` runs again from its start when the database was busy,
   * so it does nothing but query; it must not wait for anything else, since on SQLite it holds the only write lock.
   * Fails with `InventoryUnavailable` when the database stays busy or away, or when it is unknown whether the
   * commit took effect; every write of ours can be made again.
   */
  transaction<Result>(fn: (trx: Trx) => Promise<Result>): Promise<Result>;
  /** Such a transaction for a step of an operation: `Superseded` unless the fence holds, locked until its end. */
  fenced<Result>(fence: Fence, fn: (trx: Trx) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** Where the inventory is: a PostgreSQL URL, or a SQLite file, which is created (0600) when missing. */
export type InventoryLocation = { url: string } | { file: string };

export interface InventoryOptions {
  /** How long a busy or absent database is waited for. */
  patienceMilliseconds?: number;
  /** A connection to PostgreSQL that says nothing for so long is given up; 40 s unless told. */
  silenceMilliseconds?: number;
  /** False: leave the schema as it is. */
  migrate?: boolean;
}

/**
 * Opens the inventory and brings its schema up to date.
 * @throws InventoryUnavailable when it cannot be reached, is damaged, or was made by a newer CHOM
 */
export async function openInventory(where: InventoryLocation, options: InventoryOptions = {}): Promise<Inventory> {
  const patience = options.patienceMilliseconds ?? 20_000;
  const { reading, writing } =
    'url' in where
      ? postgresDialects(where.url, patience, options.silenceMilliseconds)
      : sqliteDialects(where.file, patience);
  const plugins = [new CamelCasePlugin()];
  const db = new Kysely<Schema>({ dialect: reading, plugins });
  const writer = new Kysely<Schema>({ dialect: writing, plugins });
  const inventory: Inventory = {
    db,
    transaction: (fn) => transaction(writer, patience, fn),
    fenced: (fence, fn) =>
      inventory.transaction(async (trx) => {
        await holdFence(trx, fence);
        return await fn(trx);
      }),
    async close() {
      await db.destroy();
      await writer.destroy();
    },
  };
  try {
    if (options.migrate !== false) await migrate(inventory);
    return inventory;
  } catch (error) {
    await inventory.close();
    throw error;
  }
}

const inside = new AsyncLocalStorage<true>();

async function transaction<Result>(writer: Kysely<Schema>, patience: number, fn: (trx: Trx) => Promise<Result>) {
  if (inside.getStore()) throw failure('Bug', 'A transaction was begun inside a transaction of the inventory');
  return await retrying(patience, async () => {
    let committing = false;
    try {
      return await inside.run(true, () =>
        writer.transaction().execute(async (trx) => {
          const result = await fn(trx);
          committing = true;
          return result;
        }),
      );
    } catch (error) {
      // A connection that is lost while it commits: the server may have done it. Whoever asks again finds out.
      if (committing && isFault(error) && isTransient(error) === 'connection') {
        throw failure('InventoryUnavailable', 'The inventory went away during a commit, which may have taken effect', {
          cause: describeFault(error),
        });
      }
      throw error;
    }
  });
}

/** Locks the operation's row and checks the fence. @throws Superseded */
async function holdFence(trx: Trx, fence: Fence): Promise<void> {
  const row = await trx
    .selectFrom('operations')
    .select(['run', 'epoch', 'outcome'])
    .where('id', '=', fence.operation)
    .forUpdate()
    .executeTakeFirst();
  if (row?.run === fence.run && row.epoch === fence.epoch && row.outcome === null) return;
  throw superseded(fence, row);
}

/** The failure of a run that may no longer write. */
export function superseded(fence: Fence, row: { run: string | null; outcome: string | null } | undefined) {
  let cause = 'somebody else took it over';
  if (!row) cause = 'the inventory does not know it';
  else if (row.outcome) cause = `it has already ${row.outcome === 'cancelled' ? 'been cancelled' : row.outcome}`;
  else if (row.run === null) cause = 'it has not begun';
  else if (row.run !== fence.run) cause = 'another run of it may act';
  return failure('Superseded', `This run of operation ${fence.operation} may not write any more: ${cause}`, { cause });
}
