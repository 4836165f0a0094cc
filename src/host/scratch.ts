import type { SitePlan } from '../workflows/plans.js';
import { CONTENTS_COMPARER } from './contents-comparer.js';
import { askLastTimestamp, DUMP_FILTER } from './dump-filter.js';
import { EXIT } from './exit-codes.js';
import { FASTCGI } from './fastcgi.js';
import { paths, webRoot } from './paths.js';
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
import { RESTORED, restorePlaces } from './restore-places.js';
import { NO_SANDBOX } from './restore-sql.js';
import { sh } from './shell.js';
import { asSite } from './user.js';

/** A site whose backup is tried out on its own server. */
export interface ScratchSite extends Pick<SitePlan, 'site' | 'domain' | 'type' | 'php'> {
  uid: number;
  operation: string;
  /** Files were staged. */
  files: boolean;
  /** Its first page is asked for: it runs PHP, and all that this needs is restored. */
  page: boolean;
}

/**
 * Brings the dump of a backup, where it has one, onto the server, into the place where `stageFiles` put the files, for
 * `tryScratch`, which has no network. Exit codes: diskFull, restic's own.
 */
export function prepareScratch(order: RestoreOrder, access: RepositoryAccess): RestoreChange {
  const { site, operation, database } = order;
  const { beside } = restorePlaces(site, operation);
  const file = `${beside}/dump.sql`;
  const fetch = sh`${guardedRestic(access, { cache: paths.resticCache(site) })} --no-lock dump ${database ?? ''} /database.sql`;
  return {
    check: sh`[ -e ${file} ] && [ -d ${`${beside}/scratch`} ]`,
    act: sh`export LC_ALL=C
umask 077
[ -d ${beside} ] || mkdir -m 0700 ${beside} || exit 1
# Passed through by MariaDB and PHP, which run as others, where the unit sees it.
install -d -m 0711 ${`${beside}/scratch`} || exit 1
${database === null ? sh`:` : fetch} >${`${file}.new`} || {
  code=$?
  ${outOfSpace(beside)}
  exit $code
}
mv -fT ${`${file}.new`} ${file}`,
    properties: restoreBox({ site, operation, repository: localRepository(access) }),
    secrets: resticCredentials(access),
  };
}

/**
 * Tries out what was staged, where it sees no network, no live database and no live file: a MariaDB and a PHP of its own
 * in one unit, at the places where the site looks for them, the dump imported and compared with the manifest, and the
 * first page asked for. Mail goes to nowhere, and none of its jobs runs; what it writes goes with what was staged.
 * Prints the page's status and size; nothing where none is asked for. Exit codes: dumpRejected, notRestored, diskFull,
 * notServed (no page, or an error), unsupported (MariaDB's client knows no sandbox mode).
 */
export function tryScratch(scratch: ScratchSite, database: RestoreFacts['database']): RestoreChange {
  const { site, operation } = scratch;
  const { beside, journal } = restorePlaces(site, operation);
  const tried = `/var/lib/${journal}/tried`;
  return {
    check: sh`cat ${tried} 2>/dev/null`,
    act: sh`export LC_ALL=C
umask 077
s=${SCRATCH}
fail() {
  ${outOfSpace(SCRATCH)}
  [ ! -e "$3" ] || tail -n 20 "$3" >&2
  echo "$1" >&2
  exit "$2"
}
umask 022
rm -rf "$s"/* && mkdir "$s/log" ${RUN} || fail 'cannot write beside the site' 1 none
ended() {
  mariadb --no-defaults ${`--socket=${RUN}/mysqld.sock`} -e SHUTDOWN 2>/dev/null
  kill $(jobs -p) 2>/dev/null
}
trap ended EXIT
trap 'exit 130' INT TERM
${database === null ? sh`:` : withDatabase(site, database, `/var/lib/${journal}/manifest.json`)}
${scratch.page ? withPhp(scratch) : sh`said=`}
echo "$said" >${`${tried}.new`} && mv -fT ${`${tried}.new`} ${tried} || fail 'cannot note what was seen' 1 none
echo "$said"`,
    properties: scratchBox(scratch, beside),
  };
}

/** Where the unit sees what lies beside the site. */
const SCRATCH = '/var/lib/chom-scratch';
const RUN = '/run/mysqld';

function withDatabase(site: string, { charset, collation }: NonNullable<RestoreFacts['database']>, manifest: string) {
  const server = [
    ...['--no-defaults', '--user=mysql', `--datadir=${SCRATCH}/mysql`, `--socket=${RUN}/mysqld.sock`],
    ...[`--pid-file=${RUN}/mysqld.pid`, '--skip-networking', '--skip-log-bin', '--event-scheduler=OFF'],
    // It lives for minutes, beside one that serves.
    ...['--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=64M', '--max-allowed-packet=1G'],
  ];
  const client = ['--no-defaults', `--socket=${RUN}/mysqld.sock`, '--default-character-set=utf8mb4'];
  const make = `CREATE DATABASE \`${site}\` CHARACTER SET ${charset} COLLATE ${collation};
CREATE USER '${site}'@'localhost' IDENTIFIED VIA unix_socket;
GRANT ALL PRIVILEGES ON \`${site}\`.* TO '${site}'@'localhost';`;
  const importing = sh`exec mariadb ${[...client, '--sandbox', '--binary-mode', '--local-infile=0', '--max-allowed-packet=1G', site]}`;
  return sh`mariadb-install-db --no-defaults --user=mysql ${`--datadir=${SCRATCH}/mysql`} --auth-root-authentication-method=socket --skip-test-db >"$s/log/install" 2>&1 ||
  fail 'no scratch database can be made' 1 "$s/log/install"
chown mysql: ${RUN}
mariadbd ${server} >"$s/log/mariadbd" 2>&1 &
tries=0
until mariadb ${client} -e 'SELECT 1' >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || fail 'the scratch database does not start' 1 "$s/log/mariadbd"
  sleep 0.1
done
mariadb ${client} -e ${make} || fail 'no scratch database can be made' 1 "$s/log/mariadbd"
last=$(${askLastTimestamp(client)}) && [ -n "$last" ] || fail 'the scratch database cannot be asked' 1 "$s/log/mariadbd"
perl -e ${DUMP_FILTER} import "$s/log/events" "$last" <${`${SCRATCH}.sql`} >"$s/dump.sql" || fail 'the dump cannot be read' 1 none
${asSite(site, importing)} <"$s/dump.sql" >/dev/null 2>"$s/log/import" || {
  cat "$s/log/import" >&2
  case "$(tail -n 1 "$s/log/import")" in
    *${NO_SANDBOX.said}*) fail ${NO_SANDBOX.told} ${EXIT.unsupported} none ;;
  esac
  fail "the dump cannot be imported: $(tail -n 1 "$s/log/import")" ${EXIT.dumpRejected} "$s/log/mariadbd"
}
rm -f "$s/dump.sql"
perl -e ${CONTENTS_COMPARER} ${manifest} ${site} counted >"$s/log/differs" || {
  cat "$s/log/differs" >&2
  fail "what was imported is not what the backup holds: $(head -n 1 "$s/log/differs")" ${EXIT.notRestored} none
}`;
}

function withPhp({ site, domain, type, php }: ScratchSite) {
  const root = paths.root(site);
  const web = webRoot({ site, type });
  const file = `[global]
error_log = ${SCRATCH}/log/php
daemonize = no
[${site}]
user = ${site}
group = ${site}
listen = ${RUN}/php.sock
pm = static
pm.max_children = 2
clear_env = yes
catch_workers_output = yes
php_admin_value[open_basedir] = ${root}/:/usr/share/php/
php_admin_value[doc_root] = ${web}
php_admin_value[upload_tmp_dir] = ${root}/tmp
php_admin_value[sys_temp_dir] = ${root}/tmp
php_admin_value[session.save_path] = ${root}/tmp
php_admin_value[sendmail_path] = /bin/false
php_admin_value[max_execution_time] = 60
php_admin_flag[log_errors] = on
php_flag[display_errors] = off
`;
  const parameters = {
    ...{ GATEWAY_INTERFACE: 'CGI/1.1', SERVER_SOFTWARE: 'chom', SERVER_PROTOCOL: 'HTTP/1.1', REQUEST_METHOD: 'GET' },
    ...{ SERVER_NAME: domain, HTTP_HOST: domain, SERVER_PORT: '443', HTTPS: 'on', REMOTE_ADDR: '127.0.0.1' },
    ...{ REQUEST_URI: '/', QUERY_STRING: '', DOCUMENT_ROOT: web, SCRIPT_NAME: '/index.php' },
    SCRIPT_FILENAME: `${web}/index.php`,
  };
  return sh`printf %s ${file} >"$s/php.conf" || fail 'cannot write beside the site' 1 none
${`/usr/sbin/php-fpm${php}`} --fpm-config "$s/php.conf" --nodaemonize >"$s/log/fpm" 2>&1 &
tries=0
until [ -S ${`${RUN}/php.sock`} ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || fail 'the scratch PHP does not start' 1 "$s/log/fpm"
  sleep 0.1
done
said=$(perl -e ${FASTCGI} ${`${RUN}/php.sock`} ${Object.entries(parameters).flat()} 2>"$s/log/page") ||
  fail 'the first page of what was restored does not come' ${EXIT.notServed} "$s/log/page"
case $said in
  [23]*) ;;
  *)
    cat "$s/log/php" >&2
    fail "the first page of what was restored answers \${said% *}" ${EXIT.notServed} "$s/log/page" ;;
esac`;
}

function scratchBox({ site, uid, operation, files }: ScratchSite, beside: string): string[] {
  const root = paths.root(site);
  return [
    ...restoreBox({ site, operation }).filter((one) => one !== `BindPaths=${root}`),
    // No address but of its own machine, where nobody listens.
    'PrivateNetwork=yes',
    // Nor a socket: a cache, a queue or a log of what lives would take what it writes.
    'TemporaryFileSystem=/run:mode=0755',
    `TemporaryFileSystem=${root}/tmp:mode=0700,uid=${uid},gid=${uid}`,
    ...(files ? RESTORED.map((name) => `BindPaths=${beside}/${name}:${root}/${name}`) : []),
    `BindPaths=${beside}/scratch:${SCRATCH}`,
    `BindReadOnlyPaths=${beside}/dump.sql:${SCRATCH}.sql`,
  ];
}
