import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

const PRIVATE = [
  paths.staging,
  paths.previous,
  paths.temporary,
  paths.locks,
  paths.recovery,
  paths.sites,
  paths.installed,
  `${paths.state}/tls`,
];

const CHALLENGES = `${paths.acme}/.well-known/acme-challenge`;

/** CHOM's own directories on a server. nginx must pass through the first to the challenges, and see nothing else. */
export function stateDirectories(): { check: Script; act: Script } {
  return {
    check: sh`for place in ${PRIVATE}; do [ "$(stat -c '%a %u' "$place" 2>/dev/null)" = '700 0' ] || exit 1; done
[ "$(stat -c '%a %u' ${paths.state})" = '711 0' ] || exit 1
[ "$(stat -c '%a %u' ${CHALLENGES} 2>/dev/null)" = '755 0' ] || exit 1
[ "$(stat -c '%a %u' /srv/chom 2>/dev/null)" = '711 0' ]`,
    act: sh`umask 022
install -d -o root -g root -m 0711 ${paths.state} /srv/chom &&
  install -d -o root -g root -m 0700 ${PRIVATE} &&
  install -d -o root -g root -m 0755 ${paths.acme} ${`${paths.acme}/.well-known`} ${CHALLENGES}`,
  };
}
