import type { SitePlan } from '../workflows/plans.js';
import { EXIT } from './exit-codes.js';
import { documentRoot, paths } from './paths.js';
import { sh, type Script } from './shell.js';
import { noteUid, refuseUsedUid } from './uids.js';

/** The Linux user of a site: named by its id, with the uid that the inventory gave it, for user and group alike. */
export interface SiteUser {
  site: SitePlan['site'];
  uid: number;
}

/**
 * Makes user, group and directories. A mark below `/var/lib/chom/sites` is written first and says that they are ours:
 * whatever has the name or the uid without it is somebody else's (`conflict`, `uidTaken`, `uidUsed`), and nothing is touched.
 */
export function createUser({ site, uid }: SiteUser): { check: Script; act: Script } {
  const root = paths.root(site);
  const app = documentRoot(site);
  const mark = `${paths.sites}/${site}`;
  const entry = `${site}:x:${uid}:${uid}:CHOM site:${root}:/usr/sbin/nologin`;
  const check = sh`[ "$(cat ${mark} 2>/dev/null)" = ${uid} ] || exit 1
[ "$(getent passwd ${site})" = ${entry} ] || exit 1
[ "$(stat -c '%a %U %G' /srv/chom ${root})" = ${'711 root root\n751 root root'} ] || exit 1
[ "$(stat -c '%a %U %G' ${app} ${`${root}/shared`} ${`${root}/tmp`})" = ${`2750 ${site} www-data\n2750 ${site} www-data\n700 ${site} ${site}`} ] || exit 1`;
  const act = sh`umask 022
fail() {
  if [ "$(df -P -k "$2" | awk 'NR == 2 { print $4 }')" -lt 1024 ]; then
    echo "no space is left for $2" >&2
    exit ${EXIT.diskFull}
  fi
  echo "$1" >&2
  exit 1
}
conflict() {
  echo "$1 exists on the server and was not made by CHOM for this site" >&2
  [ $# -lt 2 ] || exit "$2"
  exit ${EXIT.conflict}
}
install -d -m 0700 ${[paths.sites, paths.locks]} || fail ${`cannot write ${paths.sites}`} ${paths.state}
if [ "$(cat ${mark} 2>/dev/null)" != ${uid} ]; then
  ! getent passwd ${site} >&2 || conflict ${`user ${site}`}
  ! getent group ${site} >&2 || conflict ${`group ${site}`}
  # Before it is looked for as a user: a stranger's can be passed over, one of a site that this inventory forgot must not.
  ${refuseUsedUid({ site, uid })}
  ! getent passwd ${uid} >&2 || conflict ${`a user with uid ${uid}`} ${EXIT.uidTaken}
  ! getent group ${uid} >&2 || conflict ${`a group with gid ${uid}`} ${EXIT.uidTaken}
  if [ -e ${root} ] || [ -L ${root} ]; then conflict ${root}; fi
  ${noteUid({ site, uid })} || { code=$?; [ $code -ne ${EXIT.uidUsed} ] || exit $code; fail ${`cannot write ${paths.uids}`} ${paths.state}; }
  echo ${uid} >${`${mark}.new`} && sync ${`${mark}.new`} && mv -fT ${`${mark}.new`} ${mark} && sync ${paths.sites} ||
    fail ${`cannot write ${mark}`} ${paths.state}
fi
getent group ${site} >/dev/null || groupadd --gid ${uid} ${site} || fail ${`cannot make group ${site}`} /etc
getent passwd ${site} >/dev/null ||
  useradd --uid ${uid} --gid ${site} --home-dir ${root} --no-create-home --shell /usr/sbin/nologin \
    --comment 'CHOM site' --key SUB_UID_COUNT=0 --key SUB_GID_COUNT=0 ${site} || fail ${`cannot make user ${site}`} /etc
[ "$(getent passwd ${site})" = ${entry} ] || conflict ${`user ${site}`}
install -d -o root -g root -m 0711 /srv/chom &&
  install -d -o root -g root -m 0751 ${root} &&
  install -d -o ${site} -g www-data -m 2750 ${app} ${`${root}/shared`} &&
  install -d -o ${site} -g ${site} -m 0700 ${`${root}/tmp`} || fail ${`cannot make the directories of ${site}`} /srv`;
  return { check, act };
}

/**
 * Ends every process of the site and removes its files, user and group, and last the mark. What does not bear the mark
 * is not touched. Succeeds when there was nothing.
 */
export function removeUser({ site, uid }: SiteUser): { check: Script; act: Script } {
  const root = paths.root(site);
  const mark = `${paths.sites}/${site}`;
  const act = sh`[ "$(cat ${mark} 2>/dev/null)" = ${uid} ] || exit 0
ours=$(getent passwd ${site} | cut -d : -f 3)
if [ "$ours" = ${uid} ]; then
  # A process may fork while the others are ended: until none is left.
  tries=0
  while pkill -KILL -U ${uid}; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo ${`processes of ${site} cannot be ended`} >&2; exit 1; }
    sleep 0.05
  done
  rm -f ${`/var/spool/cron/crontabs/${site}`}
  rm -rf --one-file-system ${root} || exit 1
  userdel ${site} || exit 1
fi
rm -rf --one-file-system ${root} || exit 1
if [ "$(getent group ${site} | cut -d : -f 3)" = ${uid} ]; then groupdel ${site} || exit 1; fi
rm -f ${`${paths.sites}/${site}.source`} ${mark} && sync ${paths.sites}`;
  return { check: sh`[ ! -e ${mark} ]`, act };
}

/**
 * Runs a script as the site's user, with nothing of root's left: no capability, no way back, an environment of its own.
 * `groups`: further groups, for what only a member of a group may do to a file.
 */
export function asSite(site: string, script: Script, groups = site): Script {
  return sh`setpriv --reuid=${site} --regid=${site} --groups=${groups} --no-new-privs --inh-caps=-all --bounding-set=-all --reset-env sh -c ${
    sh`umask 027
export LC_ALL=C PATH=/usr/bin:/bin HOME=${`${paths.root(site)}/tmp`}
${script}`.script
  }`;
}
