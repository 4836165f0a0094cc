import { ApplicationFailure } from '@temporalio/common';
import { sql } from 'kysely';
import { failureDetails } from '../workflows/failures.js';
import type { Db, Inventory, Trx } from './database.js';
import { type Keyring, sealedBytesHead, sealedHead } from './keyring.js';
import { SEALED_COLUMNS, type SealedColumn } from './sealed-columns.js';
import { noteKey } from './sealing.js';

/** Small enough that a batch holds SQLite's only write lock for milliseconds. */
const BATCH = { text: 200, bytes: 4 } as const;

/** What became of everything that other keys than the current one had sealed. */
export interface Resealed {
  /** How many values were sealed anew. */
  values: number;
  /** What could not be opened, and is as it was. */
  unreadable: { column: string; key: string; cause: string }[];
}

type Key = unknown[];
type Row = { key: Key; sealed: string | Buffer };

/**
 * Seals everything with the current key that others sealed, batch by batch, each its own transaction. Ended anywhere and
 * called again it goes on; a value that somebody writes meanwhile stays as it was written.
 * @throws InventoryUnavailable
 */
export async function reseal(inventory: Inventory, keyring: Keyring): Promise<Resealed> {
  const done: Resealed = { values: 0, unreadable: [] };
  for (const column of SEALED_COLUMNS) {
    for (let after: Key | null = null; ;) {
      const rows: Row[] = await batchOf(inventory.db, column, { current: keyring.current, after });
      const batch = await inventory.transaction(async (trx) => await sealAnew(trx, keyring, column, rows));
      done.values += batch.values;
      done.unreadable.push(...batch.unreadable);
      after = rows.at(-1)?.key ?? null;
      if (after === null) break;
    }
  }
  return done;
}

/** How many values of each column a key has sealed: `table.column` to number; without those of which it is none. */
export async function sealedBy(db: Db, id: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const column of SEALED_COLUMNS) {
    const counted = sql<{
      n: number;
    }>`select count(*) as n from ${sql.table(column.table)} where ${beginsWith(column, id)}`;
    const n = (await counted.execute(db)).rows[0]?.n ?? 0;
    if (n > 0) found[nameOf(column)] = n;
  }
  return found;
}

async function batchOf(
  db: Db,
  column: SealedColumn,
  { current, after }: { current: string; after: Key | null },
): Promise<Row[]> {
  const key = sql.join(column.key.map((name) => sql.ref(name)));
  const sealed = sql.ref(column.column);
  const further = after === null ? sql`` : sql` and (${key}) > (${sql.join(after)})`;
  const query = sql<Record<string, unknown>>`select ${key}, ${sealed} from ${sql.table(column.table)}
    where ${sealed} is not null and not (${beginsWith(column, current)})${further}
    order by ${key} limit ${sql.lit(column.bytes ? BATCH.bytes : BATCH.text)}`;
  const { rows } = await query.execute(db);
  return rows.map((row) => ({
    key: column.key.map((name) => row[name]),
    sealed: row[column.column] as string | Buffer,
  }));
}

async function sealAnew(trx: Trx, keyring: Keyring, column: SealedColumn, rows: readonly Row[]): Promise<Resealed> {
  const done: Resealed = { values: 0, unreadable: [] };
  const by = await noteKey(trx, keyring);
  for (const { key, sealed } of rows) {
    const value = sealedAnew(keyring, sealed, column.context(...(key as never[])), by);
    if (value instanceof ApplicationFailure) {
      const { cause = '' } = failureDetails(value);
      done.unreadable.push({ column: nameOf(column), key: key.join('/'), cause });
    } else {
      const where = sql.join(
        column.key.map((name, n) => sql`${sql.ref(name)} = ${key[n]}`),
        sql` and `,
      );
      // Whoever wrote another value meanwhile has sealed it with a key of now.
      const update = sql`update ${sql.table(column.table)} set ${sql.ref(column.column)} = ${value}
        where ${where} and ${sql.ref(column.column)} = ${sealed}`;
      done.values += Number((await update.execute(trx)).numAffectedRows ?? 0n);
    }
  }
  return done;
}

/** Or why it cannot be opened. */
function sealedAnew(keyring: Keyring, sealed: string | Buffer, context: string, by: string) {
  try {
    if (typeof sealed === 'string') return keyring.seal(keyring.open(sealed, context), context, by);
    return Buffer.from(keyring.sealBytes(keyring.openBytes(sealed, context), context, by));
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === 'Forbidden') return error;
    throw error;
  }
}

function beginsWith({ column, bytes }: SealedColumn, id: string) {
  const head = bytes ? sealedBytesHead(id) : sealedHead(id);
  return sql<boolean>`substr(${sql.ref(column)}, 1, ${sql.lit(head.length)}) = ${head}`;
}

function nameOf({ table, column }: SealedColumn): string {
  return `${table}.${column}`;
}
