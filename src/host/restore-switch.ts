import { EXCHANGE } from './exchange.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { inodes } from './restore-files.js';
import { outOfSpace, type RestoreChange } from './restore-manifest.js';
import { RESTORED, type RestorePlaces, restorePlaces } from './restore-places.js';
import {
  DAMAGED,
  dropDamaged,
  dropObjects,
  exchangeTables,
  loadObjects,
  marker,
  objectsDump,
  rootSql,
} from './restore-sql.js';
import { join, sh, type Script } from './shell.js';

/** What a restore puts in the place of what is there. */
export interface SwitchOrder {
  site: string;
  /** Of the restore. */
  operation: string;
  files: boolean;
  /** The character set that the restored database came with; null where it is left as it is. */
  database: { charset: string; collation: string } | null;
  /** Tables that are damaged go, and no undo brings them back; otherwise they prevent the switch (databaseBroken). */
  dropDamaged?: boolean;
}

/**
 * Puts what was restored in the place of what is there, which then lies where that lay. The site must be closed, see
 * close-site.ts. Killed at any moment it goes on where it was: what is where is told by the numbers of the directories
 * and by a table that is renamed with all others; both kinds of exchange happen at one instant or not at all.
 * Exit codes: databaseLocked, diskFull, unsupported.
 */
export function switchRestore(order: SwitchOrder): RestoreChange {
  const { site, operation, files, database } = order;
  const places = restorePlaces(site, operation);
  const journal = `/var/lib/${places.journal}`;
  return {
    check: sh`[ -e ${`${journal}/switched`} ]`,
    act: sh`${functions(order, places)}
${database ? sh`[ -e ${`${journal}/imported`} ] || fail 'no database was restored' 1` : sh`:`}
${files ? sh`[ -s ${`${journal}/staged`} ] || fail 'no files were restored' 1` : sh`:`}
if [ ! -e ${`${journal}/begun`} ]; then
  # A file system that numbers its directories anew with each boot (an overlay) cannot tell later which is which.
  ${files ? sh`[ "$(${inodes(places.beside)})" = "$(cat ${`${journal}/staged`})" ] || fail 'what was restored is not known by its number any more: was the server rebooted?' 1` : sh`:`}
  ${
    database
      ? sh`charset=$(${rootSql(charsetOf(site))}) && echo "$charset" >${`${journal}/charset`} && sync ${`${journal}/charset`} || fail 'MariaDB does not answer' 1
  ${objectsDump(site, `${journal}/old.sql`, { broken: true })} || fail 'views, triggers and routines cannot be noted' 1`
      : sh`:`
  }
  note begun
fi
${database ? switchDatabase(order, places, database) : sh`:`}
${files ? sh`exchange_files staged` : sh`:`}
note switched`,
  };
}

/**
 * Takes a switch back, from wherever it got to. Succeeds when there was none. Exit codes as of `switchRestore`; what came
 * into the restored copy meanwhile lies beside from then on.
 */
export function switchBack(order: SwitchOrder): RestoreChange {
  const { site, operation, files, database } = order;
  const places = restorePlaces(site, operation);
  const journal = `/var/lib/${places.journal}`;
  return {
    check: sh`[ ! -e ${`${journal}/begun`} ]`,
    act: sh`[ -e ${`${journal}/begun`} ] || exit 0
${functions(order, places)}
rm -f ${`${journal}/switched`} && sync ${journal}
${files ? sh`exchange_files live` : sh`:`}
${database ? switchDatabaseBack(site, places) : sh`:`}
rm -f ${['begun', 'loaded'].map((name) => `${journal}/${name}`)} && sync ${journal}`,
  };
}

function switchDatabase(
  { site, dropDamaged: drop = false }: SwitchOrder,
  { journal, fresh, old, mark, ...places }: RestorePlaces,
  { charset, collation }: { charset: string; collation: string },
): Script {
  const place = `/var/lib/${journal}`;
  return sh`where=$(${rootSql(marker({ journal, fresh, old, mark, ...places }))}) || fail 'MariaDB does not answer' 1
[ -n "$where" ] || fail 'the database that was restored is gone' 1
if [ "$where" = ${fresh} ]; then
  # Its user may have dropped it.
  sql ${`CREATE DATABASE IF NOT EXISTS \`${site}\` CHARACTER SET ${charset} COLLATE ${collation}`}
  sql ${dropObjects(site)}
  sql ${dropObjects(fresh)}
  mariadb -e ${`KILL HARD USER '${site}'`}
  ${drop ? sh`sql ${dropDamaged(site)}` : sh`:`}
  sql ${exchangeTables(site, fresh, old, mark)}
fi
if [ ! -e ${`${place}/loaded`} ]; then
  sql ${`ALTER DATABASE \`${site}\` CHARACTER SET ${charset} COLLATE ${collation}`}
  sql ${dropObjects(site)}
  load ${`${place}/new.sql`} ${`${place}/events`}
  note loaded
fi`;
}

function switchDatabaseBack(site: string, { journal, fresh, old, mark, ...places }: RestorePlaces): Script {
  const place = `/var/lib/${journal}`;
  return sh`where=$(${rootSql(marker({ journal, fresh, old, mark, ...places }))}) || fail 'MariaDB does not answer' 1
rm -f ${`${place}/loaded`}
sql ${dropObjects(site)}
if [ "$where" = ${old} ]; then
  mariadb -e ${`KILL HARD USER '${site}'`}
  sql ${exchangeTables(site, old, fresh, mark)}
fi
{ read -r charset collation && [ -n "$charset" ] && sql "ALTER DATABASE "${`\`${site}\``}" CHARACTER SET $charset COLLATE $collation"; } <${`${place}/charset`}
load ${`${place}/old.sql`} /dev/null`;
}

/** Patterns of sh, of what the client says first of an error. */
const damaged = join(
  DAMAGED.map((number) => sh`*${`ERROR ${number} `}*`),
  ' | ',
);

function functions({ site }: SwitchOrder, { beside, journal }: RestorePlaces): Script {
  const place = `/var/lib/${journal}`;
  const root = paths.root(site);
  return sh`export LC_ALL=C
umask 077
fail() {
  ${outOfSpace(place)}
  printf '%s\n' "$1" >&2
  exit "$2"
}
note() { : >${place}/"$1" && sync ${place}/"$1" ${place} || fail "cannot note what is done" 1; }
# Of what the client said, which may be the statement as well: the line that tells why.
why() { said=$(printf '%s\n' "$said" | grep '^ERROR ' | tail -n 1); }
sql() {
  case $1 in BEGIN*) delimiter=// ;; *) delimiter=';' ;; esac
  said=$(mariadb -N -B --default-character-set=utf8mb4 --delimiter="$delimiter" -e "$1" 2>&1) && return
  why
  ${outOfSpace('/var/lib/mysql')}
  case $said in
    *'ERROR 1205 '*) fail ${`a table of ${site} is locked by somebody else: `}"$said" ${EXIT.databaseLocked} ;;
    ${damaged}) fail ${`the database of ${site} is damaged: `}"$said" ${EXIT.databaseBroken} ;;
  esac
  fail ${`the database of ${site} cannot be exchanged: `}"$said" 1
}
# Gives the new ones of FILE to the site; those enabled that EVENTS names.
load() {
  said=$({ ${loadObjects(site, sh`"$1"`, sh`"$2"`)}; } 2>&1 >/dev/null) && return
  why
  fail ${`views, triggers, routines or events of ${site} cannot be made: `}"$said" 1
}
# exchange_files WHERE: unless the restored ones already lie elsewhere than there.
exchange_files() {
  n=0
  for name in ${RESTORED}; do
    n=$((n + 1))
    restored=$(sed -n "\${n}p" ${`${place}/staged`})
    case $1 in staged) from=${beside} ;; *) from=${root} ;; esac
    [ "$(stat -c %i "$from/$name" 2>/dev/null)" = "$restored" ] || continue
    said=$(perl -e ${EXCHANGE} "$(uname -m)" ${beside}/"$name" ${root}/"$name" 2>&1)
    case $? in
      0) ;;
      2) fail "$said" ${EXIT.unsupported} ;;
      *) fail "$said" 1 ;;
    esac
  done
  sync ${beside} ${root}
  restored=$(cat ${`${place}/staged`})
  case $1 in staged) now=$(${inodes(root)}) ;; *) now=$(${inodes(beside)}) ;; esac
  [ "$now" = "$restored" ] || fail 'what was restored is no longer where it was' 1
}`;
}

function charsetOf(site: string): string {
  return `SELECT CONCAT(DEFAULT_CHARACTER_SET_NAME, ' ', DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${site}'`;
}
