import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { sh, type Script, writeFile } from './shell.js';

/** A site has ten PHP processes at most, its background jobs, and a person at a shell. */
const CONNECTIONS = 20;

/**
 * Makes a site's database and its user, both of the site's name: ids hold no `_`, which in a GRANT stands for any
 * character. The user logs in by the socket, as the Linux user that it is: there is no password to keep or to lose.
 * A mark says that they are ours; what has the name without it is somebody else's. Exit codes: conflict, unsupported,
 * diskFull.
 */
export function createDatabase(site: string): { check: Script; act: Script } {
  const user = `'${site}'@'localhost'`;
  const is = `SELECT CONCAT_WS(' ',
  (SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = '${site}'),
  (SELECT CONCAT(plugin, ' ', max_user_connections) FROM mysql.user WHERE User = '${site}' AND Host = 'localhost'),
  (SELECT CONCAT(Select_priv, Create_priv, Drop_priv, Grant_priv) FROM mysql.db WHERE Db = '${site}' AND User = '${site}'))`;
  const there = `SELECT CONCAT('database ', schema_name) FROM information_schema.schemata WHERE schema_name = '${site}'
UNION ALL SELECT CONCAT('database user ', User) FROM mysql.global_priv WHERE User = '${site}'`;
  const make = `CREATE DATABASE IF NOT EXISTS \`${site}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE USER IF NOT EXISTS ${user} IDENTIFIED VIA unix_socket WITH MAX_USER_CONNECTIONS ${CONNECTIONS};
ALTER USER ${user} IDENTIFIED VIA unix_socket WITH MAX_USER_CONNECTIONS ${CONNECTIONS};
GRANT ALL PRIVILEGES ON \`${site}\`.* TO ${user};`;
  const check = sh`[ -e ${mark(site)} ] && [ "$(mariadb -N -B -e ${is})" = ${`utf8mb4 unix_socket ${CONNECTIONS} YYYN`} ]`;
  const act = sh`export LC_ALL=C
fail() {
  if [ "$(df -P -k /var/lib/mysql | awk 'NR == 2 { print $4 }')" -lt 10240 ]; then
    echo 'no space is left for /var/lib/mysql' >&2
    exit ${EXIT.diskFull}
  fi
  echo "$1" >&2
  exit 1
}
if ! said=$(mariadb -N -B -e 'SELECT 1' 2>&1); then
  echo "$said" >&2
  case "$said" in
    *'Access denied'*)
      echo 'root cannot log in to MariaDB by its socket, as Debian sets it up' >&2
      exit ${EXIT.unsupported} ;;
  esac
  fail 'MariaDB does not answer: systemctl status mariadb'
fi
if [ ! -e ${mark(site)} ]; then
  there=$(mariadb -N -B -e ${there}) || fail 'MariaDB cannot be asked for its databases'
  if [ -n "$there" ]; then
    echo "$(echo "$there" | head -n 1) exists on the server and was not made by CHOM for this site" >&2
    exit ${EXIT.conflict}
  fi
  ${writeFile({ path: mark(site), content: `${site}\n`, mode: '0600' })} || fail ${`cannot write ${mark(site)}`}
fi
mariadb -e ${make} || fail ${`cannot make database ${site}`}`;
  return { check, act };
}

/**
 * Drops a site's database and its user, whatever is connected to it, and forgets the mark. Without a mark they are not
 * ours, and nothing is touched. Succeeds when there was nothing.
 */
export function dropDatabase(site: string): { check: Script; act: Script } {
  // The user first: nobody logs in between the end of its connections and that of the database.
  const drop = `SET SESSION lock_wait_timeout = 30;
DROP USER IF EXISTS '${site}'@'localhost';
KILL HARD USER '${site}';
DROP DATABASE IF EXISTS \`${site}\`;`;
  return {
    check: sh`[ ! -e ${mark(site)} ]`,
    act: sh`[ -e ${mark(site)} ] || exit 0
mariadb -e ${drop} || {
  echo ${`cannot drop database ${site}`} >&2
  exit 1
}
rm -f ${mark(site)} && sync ${paths.sites}`,
  };
}

/**
 * Empties a site's database, which keeps its user: for an installation that died half-way, of a site that was never
 * published. Without a mark it does nothing and fails.
 */
export function emptyDatabase(site: string): Script {
  const empty = `DROP DATABASE IF EXISTS \`${site}\`;
CREATE DATABASE \`${site}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;`;
  return sh`{ [ -e ${mark(site)} ] && mariadb -e ${empty}; }`;
}

/** Prints how many tables a site's database has. */
export function countTables(site: string): Script {
  return sh`mariadb -N -B -e ${`SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '${site}'`}`;
}

function mark(site: string): string {
  return `${paths.sites}/${site}.database`;
}
