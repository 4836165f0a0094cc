import { DUMP_FILTER } from './dump-filter.js';
import type { RestorePlaces } from './restore-places.js';
import { sh, type Script } from './shell.js';
import { asSite } from './user.js';

/** So long is somebody's lock on a table waited for. Visitors are shut out meanwhile. */
const LOCK_SECONDS = 30;

/** What a client ends with that is older than sandbox mode (MariaDB before 10.5.25, 10.6.18, 10.11.8, 11.4.2), and what is told then. */
export const NO_SANDBOX = {
  said: "unknown option '--sandbox'",
  told: 'its MariaDB client knows no --sandbox, without which nothing is imported; apt-get install --only-upgrade mariadb-client brings one',
} as const;

/** Runs SQL of CHOM's own as root, as one statement, and prints what it says. */
export function rootSql(text: string): Script {
  // Without a delimiter that occurs, the client would take a block apart at its first semicolon.
  const options = text.startsWith('BEGIN') ? ['--delimiter=//'] : [];
  return sh`mariadb -N -B --default-character-set=utf8mb4 ${options} -e ${text}`;
}

/** A query that says in which database the mark of a restore lies; nothing where there is none. */
export function marker({ fresh, old, mark }: RestorePlaces): string {
  return `SELECT TABLE_SCHEMA FROM information_schema.TABLES
  WHERE TABLE_SCHEMA IN ('${fresh}', '${old}') AND TABLE_NAME = '${mark.slice(1, -1)}'`;
}

/**
 * Exchanges all tables and sequences in one statement, which MariaDB (10.6 on) does wholly or not at all, also when it
 * dies: those of the site go into `to`, those of `from` to the site, and the mark with them. No trigger may be left,
 * for none moves with its table into another database. Foreign keys follow their tables.
 */
export function exchangeTables(site: string, from: string, to: string, mark: string): string {
  const tables = (database: string) =>
    `FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${database}' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')`;
  const pair = (source: string, target: string) =>
    `CONCAT('\`${source}\`.', ${quoted('TABLE_NAME')}, ' TO \`${target}\`.', ${quoted('TABLE_NAME')}) AS pair`;
  const marked = `TABLE_NAME = '${mark.slice(1, -1)}'`;
  return `BEGIN NOT ATOMIC
SET SESSION group_concat_max_len = 1073741824, lock_wait_timeout = ${LOCK_SECONDS}, foreign_key_checks = 0;
CREATE DATABASE IF NOT EXISTS \`${to}\`;
SELECT CONCAT('RENAME TABLE ', GROUP_CONCAT(pair ORDER BY step SEPARATOR ', ')) INTO @exchange FROM (
  SELECT 1 AS step, ${pair(site, to)} ${tables(site)}
  UNION ALL SELECT 2, ${pair(from, site)} ${tables(from)} AND NOT ${marked}
  UNION ALL SELECT 3, ${pair(from, to)} ${tables(from)} AND ${marked}) AS pairs;
EXECUTE IMMEDIATE @exchange;
END`;
}

/** Numbers of the errors by which MariaDB says that a table's files are damaged, gone, or in the way of another's. */
export const DAMAGED = [7, 1025, 1030, 1033, 1050, 1146, 1812, 1813, 1877, 1932];

/** Drops those tables of a database that cannot be renamed, and so not be exchanged, because they are damaged. */
export function dropDamaged(database: string): string {
  const name = `CONCAT('\`${database}\`.', ${quoted('one.n')})`;
  const aside = `\`${database}\`.\`chom restore aside\``;
  return `BEGIN NOT ATOMIC
SET SESSION lock_wait_timeout = ${LOCK_SECONDS}, foreign_key_checks = 0;
FOR one IN (SELECT TABLE_NAME AS n FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = '${database}' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')) DO
  BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
      GET DIAGNOSTICS CONDITION 1 @number = MYSQL_ERRNO, @why = MESSAGE_TEXT;
      -- No such file or table; of a rename that fails otherwise, a full disk say, nothing follows.
      IF @number NOT IN (${DAMAGED.join(', ')}) OR (@number IN (7, 1025) AND @why NOT REGEXP '(errno|Errcode): (2|155|194) ') THEN
        RESIGNAL;
      END IF;
      EXECUTE IMMEDIATE CONCAT('DROP TABLE IF EXISTS ', ${name});
    END;
    EXECUTE IMMEDIATE CONCAT('RENAME TABLE ', ${name}, ' TO ${aside}, ${aside} TO ', ${name});
  END;
END FOR;
END`;
}

/** Drops all of a database but its tables, also where some of it is gone already. */
export function dropObjects(database: string): string {
  const each = (from: string, statement: string) =>
    `FOR one IN (SELECT ${from}) DO EXECUTE IMMEDIATE CONCAT(${statement}, \`one\`.k, ' IF EXISTS \`${database}\`.', ${quoted('`one`.n')}); END FOR;`;
  const where = (column: string) => `${column} = '${database}'`;
  return `BEGIN NOT ATOMIC
SET SESSION lock_wait_timeout = ${LOCK_SECONDS};
${each(`TRIGGER_NAME AS n, 'TRIGGER' AS k FROM information_schema.TRIGGERS WHERE ${where('TRIGGER_SCHEMA')}`, "'DROP '")}
${each(`EVENT_NAME AS n, 'EVENT' AS k FROM information_schema.EVENTS WHERE ${where('EVENT_SCHEMA')}`, "'DROP '")}
${each(`ROUTINE_NAME AS n, ROUTINE_TYPE AS k FROM information_schema.ROUTINES WHERE ${where('ROUTINE_SCHEMA')} ORDER BY ROUTINE_TYPE = 'PACKAGE'`, "'DROP '")}
${each(`TABLE_NAME AS n, 'VIEW' AS k FROM information_schema.TABLES WHERE ${where('TABLE_SCHEMA')} AND TABLE_TYPE = 'VIEW'`, "'DROP '")}
END`;
}

/**
 * Writes triggers, routines, events and views of a database, as statements for one that has none of them, into a file
 * that is whole or not there. With `broken` what cannot be read is left out: what is to be replaced may be in ruins.
 */
export function objectsDump(database: string, file: string, { broken = false } = {}): Script {
  const dump = [
    ...['mariadb-dump', '--no-defaults', '--socket=/run/mysqld/mysqld.sock', '--default-character-set=utf8mb4'],
    ...['--no-data', '--skip-lock-tables', '--single-transaction', '--no-tablespaces', '--skip-dump-date'],
    ...(broken ? ['--force'] : []),
  ];
  const views = `SET SESSION group_concat_max_len = 1073741824;
SELECT CONCAT(GROUP_CONCAT(TABLE_NAME SEPARATOR '\\0'), '\\0') FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = '${database}' AND TABLE_TYPE = 'VIEW' HAVING COUNT(*) > 0`;
  const triggers = [...dump, '--no-create-info', '--routines', '--events'];
  const must = broken ? sh`:` : sh`exit 1`;
  return sh`(
  umask 077
  ${triggers} -- ${database} >${`${file}.new`} || ${must}
  mariadb -N -B --raw --default-character-set=utf8mb4 -e ${views} >${`${file}.views`} || exit 1
  # After the last name there is the end of the line, too.
  head -c -1 ${`${file}.views`} | xargs -0 -r ${dump} --skip-triggers -- ${database} >>${`${file}.new`} || ${must}
  rm -f ${`${file}.views`}
  sync ${`${file}.new`} && mv -fT ${`${file}.new`} ${file} && sync "$(dirname ${file})"
)`;
}

/**
 * Makes again what a file of `objectsDump` says, as the site's own database user and so with no other rights: the text
 * of routines is the site's, and nothing in it is for root to run. `events`: which are to be enabled.
 */
export function loadObjects(site: string, file: Script, events: Script): Script {
  const client = ['--sandbox', '--binary-mode', '--default-character-set=utf8mb4', '--local-infile=0', site];
  const load = asSite(site, sh`exec mariadb --no-defaults --socket=/run/mysqld/mysqld.sock ${client}`);
  // Not by a pipe: half of it would do, were the one at its beginning killed.
  return sh`perl -e ${DUMP_FILTER} load ${events} <${file} >${file}.own && ${load} <${file}.own`;
}

/** In SQL: a name as it is written in a statement. */
function quoted(name: string): string {
  return `CONCAT('\`', REPLACE(${name}, '\`', '\`\`'), '\`')`;
}
