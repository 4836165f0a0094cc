import type { Table, Tables } from '../host/optimise.js';
import type { Choice, Chosen, Reason } from '../workflows/optimisation-plan.js';

/** Less is not worth a rebuild: InnoDB keeps a few MiB of extents in hand, and fills what is free. */
const LEAST_FREE_BYTES = 16 * 1024 * 1024;
const LEAST_FREE_SHARE = 0.2;
/** The new file, and what is written meanwhile (innodb_online_alter_log_max_size). */
const TIMES = 2;
/** Left free whatever is rebuilt: what a doctor would complain of, twice. */
const RESERVE_BYTES = 1024 * 1024 * 1024;
/** In one operation; the emptiest first. */
const MOST_TABLES = 100;

/** Which tables are rebuilt, those with most to reclaim first, and which are left for what reason. Pure. */
export function chooseTables({ tables, freeBytes }: Tables): Choice {
  const worth = tables.filter(isWorthIt).toSorted((a, b) => b.free - a.free || (a.name < b.name ? -1 : 1));
  const choice: Choice = { tables: tables.length, chosen: [], skipped: [] };
  for (const table of worth) {
    const chosen: Chosen = { table: table.name, bytes: sizeOf(table), freeBytes: table.free };
    const why = reasonAgainst(table, freeBytes, choice.chosen.length);
    if (why === null) choice.chosen.push(chosen);
    else choice.skipped.push({ table: table.name, bytes: chosen.bytes, why });
  }
  return choice;
}

/** Whether enough of it is free. */
export function isWorthIt(table: Table): boolean {
  return table.free >= LEAST_FREE_BYTES && table.free >= sizeOf(table) * LEAST_FREE_SHARE;
}

/** Whether a table of which so much is in use can be rebuilt in what is free now. */
export function hasRoom({ data, indexes }: Pick<Table, 'data' | 'indexes'>, freeBytes: number): boolean {
  return freeBytes >= (data + indexes) * TIMES + RESERVE_BYTES;
}

/** What its file takes up. */
export function sizeOf({ data, indexes, free }: Pick<Table, 'data' | 'indexes' | 'free'>): number {
  return data + indexes + free;
}

function reasonAgainst(table: Table, freeBytes: number, before: number): Reason | null {
  // Of any other engine, and with a full-text index, nobody writes to it meanwhile.
  if (table.engine !== 'InnoDB' || table.fulltext) return 'locking';
  if (!hasRoom(table, freeBytes)) return 'no-room';
  return before >= MOST_TABLES ? 'time' : null;
}
