import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { sh, type Script } from './shell.js';
import type { SiteUser } from './user.js';

/** UIDs of sites lie here. Above are those that Debian gives out itself (Policy, 9.2.2): nobody, and dynamic users. */
const FIRST = 20_000;
const END = 60_000;

/**
 * Notes that a uid is given to a site, before there is a user: `<uid> <site>`, a line each. Lines are only ever added,
 * under a lock, and the file is replaced by rename and fsynced. So a uid is a site's for ever, also when its user is gone
 * and the inventory that gave it was lost. Exit code uidUsed: it was another site's.
 */
export function noteUid({ site, uid }: SiteUser): Script {
  const { uids } = paths;
  return sh`(
  exec 9>>${`${paths.locks}/uids`}
  flock -w 60 9 || exit 1
  ${refuseUsedUid({ site, uid })}
  [ -z "$whose" ] || exit 0
  umask 077
  { { [ ! -e ${uids} ] || cat ${uids}; } && echo ${`${uid} ${site}`}; } >${`${uids}.new`} && sync ${`${uids}.new`} &&
    mv -fT ${`${uids}.new`} ${uids} && sync ${paths.state}
)`;
}

/** Exits with uidUsed where a uid was another site's; else `$whose` is the site, or empty where it was nobody's. */
export function refuseUsedUid({ site, uid }: SiteUser): Script {
  return sh`whose=$(sed -n ${`s/^${uid} //p`} ${paths.uids} 2>/dev/null)
if [ -n "$whose" ] && [ "$whose" != ${site} ]; then
  echo ${`uid ${uid} was given to site `}"$whose before" >&2
  exit ${EXIT.uidUsed}
fi`;
}

/**
 * Prints the lowest uid above all that a site can ever have had here: by the notes, by the marks of sites, as a user, or
 * as the owner of what lies in /srv/chom. Only its first two levels: what is deeper is the site's to write, and could be
 * millions of files.
 */
export function askNextUid(): Script {
  return sh`{
  cut -d ' ' -f 1 ${paths.uids}
  find ${paths.sites} -maxdepth 1 -type f ! -name '*.*' -exec cat {} +
  cut -d : -f 3 /etc/passwd
  find /srv/chom -mindepth 1 -maxdepth 2 -printf '%U\n'
} 2>/dev/null | awk ${`/^[0-9]+$/ && $1 >= ${FIRST} && $1 < ${END} && $1 > most { most = $1 } END { print most ? most + 1 : ${FIRST} }`}`;
}
