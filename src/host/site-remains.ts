import { paths } from './paths.js';
import type { CheckedStep } from './certificate.js';
import { sh } from './shell.js';
import type { SiteUser } from './user.js';

/** Where every user may write, or a service writes for one. */
const COMMON = ['/tmp', '/var/tmp', '/dev/shm', '/run/lock', '/var/spool', '/var/mail', '/var/crash'];

/**
 * Removes what is left of a site elsewhere than in its own directories, once its user is gone: CHOM's notes and caches, and
 * whatever its uid owns where all may write. A directory in which somebody else has something stays, as root's. Succeeds when there was nothing.
 */
export function removeRemains({ site, uid }: SiteUser): CheckedStep {
  const ours = [
    paths.resticCache(site),
    `${paths.backups}/${site}`,
    `${paths.restores}/${site}`,
    `${paths.staging}/${site}.tar`,
    `${paths.previous}/php-${site}`,
    `${paths.sites}/${site}.source`,
    `${paths.sites}/${site}.application`,
  ];
  const found = sh`find ${COMMON} -xdev -mindepth 1 \( -uid ${uid} -o -gid ${uid} \)`;
  return {
    check: sh`for path in ${ours}; do [ ! -e "$path" ] || exit 1; done
[ -z "$(${found} -print -quit 2>/dev/null)" ]`,
    act: sh`rm -rf --one-file-system ${ours} || exit 1
# -delete follows no link and climbs nowhere, whatever is exchanged meanwhile.
${found} -depth -delete 2>/dev/null
${found} -exec chown -h root:root {} + 2>/dev/null
[ -z "$(${found} -print -quit 2>/dev/null)" ]`,
  };
}
