import { paths } from './paths.js';
import type { RestoreChange } from './restore-manifest.js';
import { restorePlaces } from './restore-places.js';
import { rootSql } from './restore-sql.js';
import { sh } from './shell.js';

/**
 * Removes what lies beside a site for a restore: what was never switched to, or, at the end of the undo window, what was
 * there before. What a switch left half done is kept: it fails then. Succeeds when there was nothing.
 */
export function removeRestored(site: string, operation: string): RestoreChange {
  const { beside, journal, fresh, old, importer } = restorePlaces(site, operation);
  const place = `/var/lib/${journal}`;
  const names = `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME IN ('${fresh}', '${old}')
UNION ALL SELECT User FROM mysql.global_priv WHERE User = '${importer}'`;
  const drop = `SET SESSION lock_wait_timeout = 30;
DROP USER IF EXISTS '${importer}'@'localhost';
DROP DATABASE IF EXISTS \`${fresh}\`;
DROP DATABASE IF EXISTS \`${old}\`;`;
  return {
    check: sh`[ ! -e ${beside} ] && [ ! -e ${place} ] || exit 1
found=$(${rootSql(names)}) && [ -z "$found" ]`,
    act: sh`export LC_ALL=C
if [ -e ${`${place}/begun`} ] && [ ! -e ${`${place}/switched`} ]; then
  echo ${`a switch of ${site} was left half done: what was there before is kept`} >&2
  exit 1
fi
found=$(${rootSql(names)}) || exit 1
if [ -n "$found" ]; then mariadb -e ${drop} || exit 1; fi
rm -rf --one-file-system ${beside} && sync ${paths.root(site)} || exit 1
rm -rf ${place}
rmdir "$(dirname ${place})" 2>/dev/null
exit 0`,
  };
}

/**
 * Removes all that restores left of a site that is deleted, beside its directories: databases, their users, notes.
 * Succeeds when there was nothing.
 */
export function removeAllRestored(site: string): RestoreChange {
  const notes = `/var/lib/chom/restores/${site}`;
  const ours = (column: string) => `${column} REGEXP '^${site}-[noi][0-9a-f]{10}$'`;
  const databases = `SELECT SCHEMA_NAME AS n FROM information_schema.SCHEMATA WHERE ${ours('SCHEMA_NAME')}`;
  const users = `SELECT User AS n FROM mysql.global_priv WHERE ${ours('User')}`;
  const drop = `BEGIN NOT ATOMIC
SET SESSION lock_wait_timeout = 30;
FOR one IN (${users}) DO EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS ''', one.n, '''@''localhost'''); END FOR;
FOR one IN (${databases}) DO EXECUTE IMMEDIATE CONCAT('DROP DATABASE IF EXISTS \`', one.n, '\`'); END FOR;
END`;
  return {
    check: sh`[ ! -e ${notes} ] || exit 1
found=$(${rootSql(`${databases} UNION ALL ${users}`)}) && [ -z "$found" ]`,
    act: sh`${rootSql(drop)} || exit 1
rm -rf ${notes}`,
  };
}
