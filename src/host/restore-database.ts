import { CONTENTS_COMPARER } from './contents-comparer.js';
import { askLastTimestamp, DUMP_FILTER } from './dump-filter.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { resticCredentials, type RepositoryAccess } from './restic.js';
import { guardedRestic } from './restic-guard.js';
import { restoreBox } from './restore-box.js';
import {
  localRepository,
  outOfSpace,
  type RestoreChange,
  type RestoreFacts,
  type RestoreOrder,
} from './restore-manifest.js';
import { restorePlaces } from './restore-places.js';
import { marker, NO_SANDBOX, objectsDump, rootSql } from './restore-sql.js';
import { sh } from './shell.js';

/** Numbers of users that are nobody: systemd leaves 1879048192 to 2147483647 unused (its UIDS-GIDS.md). */
const NOBODY = 2_000_000_000;

/** For the client and, while it imports, for the server: rows longer than its own bound came out of it, too. */
const PACKET = 1024 * 1024 * 1024;

/**
 * Imports the dump of a backup into a database beside the site's, and compares that with the manifest: names of all
 * that it holds, and rows. What is imported runs as a database user of this import alone, who may do nothing outside
 * that database, by a client in sandbox mode of an operating system's user that is nobody.
 * Exit codes: dumpRejected, notRestored, diskFull, unsupported (MariaDB's client knows no sandbox mode), restic's own.
 */
export function importDatabase(
  order: RestoreOrder & { database: string },
  { charset, collation }: NonNullable<RestoreFacts['database']>,
  access: RepositoryAccess,
): RestoreChange {
  const { site, uid, operation, database: snapshot } = order;
  const places = restorePlaces(site, operation);
  const { fresh, importer } = places;
  const journal = `/var/lib/${places.journal}`;
  const nobody = NOBODY + uid;
  const user = `'${importer}'@'localhost'`;
  const drop = `DROP USER IF EXISTS ${user}; DROP DATABASE IF EXISTS \`${fresh}\`;`;
  const make = `CREATE DATABASE \`${fresh}\` CHARACTER SET ${charset} COLLATE ${collation};`;
  const limits = `WITH MAX_USER_CONNECTIONS 1; GRANT ALL PRIVILEGES ON \`${fresh}\`.* TO ${user};`;
  const client = [
    ...['--defaults-file=/tmp/chom/login', '--socket=/run/mysqld/mysqld.sock', '--sandbox', '--binary-mode'],
    ...['--default-character-set=utf8mb4', '--local-infile=0', `--max-allowed-packet=${PACKET}`],
    // What the dump says itself, should it be an older one that does not.
    ...['--init-command=SET SESSION foreign_key_checks = 0, unique_checks = 0, max_statement_time = 0', fresh],
  ];
  const unprivileged = ['--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'];
  return {
    check: sh`[ -e ${`${journal}/imported`} ] && [ -n "$(${rootSql(marker(places))})" ]`,
    act: sh`export LC_ALL=C
umask 077
t=/tmp/chom
fail() {
  ${outOfSpace('/tmp')}
  ${outOfSpace(journal)}
  printf '%s\n' "$1" >&2
  exit "$2"
}
# What lies beside may be what was live.
[ ! -e ${`${journal}/begun`} ] || fail 'the switch to what was restored has begun already' 1
rm -f ${['imported', 'new.sql', 'events'].map((name) => `${journal}/${name}`)}
mkdir -m 0711 "$t" && mkdir -m 0700 "$t/out" && chown ${nobody} "$t/out" || fail 'cannot write below /tmp' 1
printf %s ${DUMP_FILTER} >"$t/filter.pl" && chmod 0444 "$t/filter.pl" && printf %s ${CONTENTS_COMPARER} >"$t/comparer.pl" ||
  fail 'cannot write below /tmp' 1
secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf '[client]\nuser=%s\npassword=%s\n' ${importer} "$secret" >"$t/login" && chown ${nobody} "$t/login" || fail 'cannot write below /tmp' 1
{ ${rootSql(drop)} && printf '%s\n' ${make} "CREATE USER "${user}" IDENTIFIED BY '$secret' "${limits} | mariadb; } ||
  fail ${`cannot make database ${fresh}`} 1
ended() { ${rootSql(`DROP USER IF EXISTS ${user}`)}; }
trap ended EXIT
trap 'exit 130' INT TERM
# Until MariaDB starts anew: a bound, which binds nobody but who sends such rows. Put back, it would bind the next import.
mariadb -e ${`SET GLOBAL max_allowed_packet = ${PACKET}`} || exit 1
last=$(${askLastTimestamp()}) && [ -n "$last" ] || exit 1
{
  ${guardedRestic(access, { cache: paths.resticCache(site) })} --no-lock dump ${snapshot} /database.sql 2>"$t/restic.said" || echo $? >"$t/restic.failed"
} | setpriv --reuid=${nobody} --regid=${nobody} ${unprivileged} --reset-env sh -c ${
      sh`{ perl /tmp/chom/filter.pl import /tmp/chom/out/events "$1" || : >/tmp/chom/out/failed; } | mariadb ${client}`
        .script
    } sh "$last" >/dev/null 2>"$t/said"
code=$?
# The last word may be the filter's, whom the client left.
said=$(grep -v '^the dump cannot be passed on: ' "$t/said" | tail -n 1 | cut -c 1-600)
if [ "$code" -ne 0 ]; then
  cat "$t/said" >&2
  case "$said" in
    'ERROR 1021 '* | 'ERROR 1114 '* | *'No space left on device'*) fail "no space is left for the database: $said" ${EXIT.diskFull} ;;
    *${NO_SANDBOX.said}*) fail ${NO_SANDBOX.told} ${EXIT.unsupported} ;;
    'ERROR 20'*) fail "MariaDB went away: $said" 1 ;;
  esac
  [ ! -e "$t/restic.failed" ] || cat "$t/restic.said" >&2
  fail "the dump cannot be imported: $said" ${EXIT.dumpRejected}
fi
if [ -e "$t/restic.failed" ]; then
  cat "$t/restic.said" >&2
  exit "$(cat "$t/restic.failed")"
fi
[ ! -e "$t/out/failed" ] || fail 'the dump cannot be read' 1
perl "$t/comparer.pl" ${`${journal}/manifest.json`} ${fresh} counted >"$t/differs" || {
  cat "$t/differs" >&2
  fail "what was imported is not what the backup holds: $(head -n 1 "$t/differs")" ${EXIT.notRestored}
}
${objectsDump(fresh, `${journal}/new.sql`)} || fail 'views, triggers and routines cannot be noted' 1
cat "$t/out/events" >${`${journal}/events`} && sync ${`${journal}/events`} || fail 'cannot note the events' 1
${rootSql(`CREATE TABLE \`${fresh}\`.${places.mark} (id INT) ENGINE=InnoDB`)} || exit 1
: >${`${journal}/imported`} && sync ${`${journal}/imported`} ${journal} || fail 'cannot note what was imported' 1`,
    properties: restoreBox({ site, operation, repository: localRepository(access) }),
    secrets: resticCredentials(access),
  };
}
