import { bytesTo, sh, type Script } from './shell.js';
import { asSite } from './user.js';

/** A table as MariaDB describes it, in bytes. */
export interface Table {
  /** Its name as hexadecimal UTF-8. */
  name: string;
  engine: string;
  data: number;
  indexes: number;
  /** Of whole extents inside its file that hold nothing; an estimate. */
  free: number;
  /** Rebuilt with a full-text index it cannot be written to meanwhile. */
  fulltext: boolean;
}

export interface Tables {
  tables: Table[];
  /** Free on the file system that databases lie on. */
  freeBytes: number;
}

/** Whoever waits for a table makes everybody behind him wait: after so long he goes. */
const LOCK_SECONDS = 5;

const list = (
  site: string,
) => `SELECT CONCAT_WS(' ', 'table', HEX(t.table_name), t.engine, t.data_length, t.index_length, t.data_free, f.name IS NOT NULL)
FROM information_schema.tables t
LEFT JOIN (SELECT DISTINCT table_name AS name FROM information_schema.statistics
  WHERE table_schema = '${site}' AND index_type = 'FULLTEXT') f ON f.name = t.table_name
WHERE t.table_schema = '${site}' AND t.table_type = 'BASE TABLE' AND t.engine IS NOT NULL AND t.data_length IS NOT NULL`;

/** Prints what `parseTables` reads. Changes nothing. */
export function askTables(site: string): Script {
  return sh`export LC_ALL=C
echo "free=$(df -P -B 1 "$(mariadb -N -B -e 'SELECT @@datadir')" | awk 'NR == 2 { print $4 }')"
${asked(site, list(site))}`;
}

export function parseTables(output: string): Tables {
  const lines = output.matchAll(/^table ([0-9A-F]+) (\S+) (\d+) (\d+) (\d+) ([01])$/gm);
  return {
    tables: Array.from(lines, ([, name = '', engine = '', data, indexes, free, fulltext]) => {
      const sizes = { data: Number(data), indexes: Number(indexes), free: Number(free) };
      return { name, engine, ...sizes, fulltext: fulltext === '1' };
    }),
    freeBytes: Number(/^free=(\d+)$/m.exec(output)?.[1] ?? 0),
  };
}

/**
 * Has MariaDB look anew at how the values of these tables are spread, by samples (InnoDB's persistent statistics): its
 * choice of index goes by that. As the site's own user.
 */
export function analyseTables(site: string, tables: readonly string[]): Script {
  const names = tables.map(quoted).join(', ');
  return asked(site, `SET SESSION lock_wait_timeout = ${LOCK_SECONDS}; ANALYZE NO_WRITE_TO_BINLOG TABLE ${names}`);
}

/**
 * Rebuilds a table, in `seconds` at most. InnoDB builds a new file beside the old one while the table is read and written,
 * and changes places; ended before that, the old one stays. Prints MariaDB's own report. As the site's own user.
 */
export function rebuildTable(site: string, table: string, seconds: number): Script {
  const bounds = `lock_wait_timeout = ${LOCK_SECONDS}, max_statement_time = ${Math.floor(seconds)}`;
  return asked(site, `SET SESSION ${bounds}; OPTIMIZE NO_WRITE_TO_BINLOG TABLE ${quoted(table)}`);
}

/** What MariaDB reported of a rebuild: null is well. Its exit status says nothing of it. */
export function rebuildFailure(output: string): 'busy' | 'time' | 'failed' | null {
  if (/\tstatus\tOK$/m.test(output)) return null;
  if (/lock wait timeout/i.test(output)) return 'busy';
  if (/max_statement_time|interrupted/i.test(output)) return 'time';
  return 'failed';
}

function quoted(table: string): string {
  return `\`${Buffer.from(table, 'hex').toString('utf8').replaceAll('`', '``')}\``;
}

/** By standard input: there may be thousands of tables. */
function asked(site: string, statements: string): Script {
  const client = [
    '--no-defaults',
    '--socket=/run/mysqld/mysqld.sock',
    '--default-character-set=utf8mb4',
    '-N',
    '-B',
    site,
  ];
  return sh`${bytesTo(statements)} | ${asSite(site, sh`exec mariadb ${client}`)}`;
}
