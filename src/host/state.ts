import { dirname } from 'node:path/posix';
import { paths } from './paths.js';
import { sh, type Script, writeFile } from './shell.js';

const PRIVATE = [
  paths.staging,
  paths.previous,
  paths.temporary,
  paths.locks,
  paths.recovery,
  paths.sites,
  paths.installed,
  paths.backups,
  paths.restores,
  `${paths.state}/tls`,
];

const CHALLENGES = `${paths.acme}/.well-known/acme-challenge`;

/**
 * Each operation has a slice, by which all that it runs is stopped. systemd keeps a slice that was started for a unit
 * when that has ended; this lets it go with the last one (systemd.unit(5), StopWhenUnneeded=, and drop-ins by prefix).
 */
const SLICES = {
  path: '/etc/systemd/system/chom-.slice.d/10-chom.conf',
  content: '# Written by CHOM.\n[Unit]\nStopWhenUnneeded=yes\n',
};

/** CHOM's own directories on a server. nginx must pass through the first to the challenges, and see nothing else. */
export function stateDirectories(): { check: Script; act: Script } {
  return {
    check: sh`for place in ${PRIVATE}; do [ "$(stat -c '%a %u' "$place" 2>/dev/null)" = '700 0' ] || exit 1; done
[ "$(stat -c '%a %u' ${paths.state})" = '711 0' ] || exit 1
[ "$(stat -c '%a %u' ${CHALLENGES} 2>/dev/null)" = '755 0' ] || exit 1
[ "$(stat -c '%a %u' /srv/chom 2>/dev/null)" = '711 0' ] || exit 1
[ "$(cat ${SLICES.path} 2>/dev/null)" = ${SLICES.content.trimEnd()} ]`,
    act: sh`umask 022
install -d -o root -g root -m 0711 ${paths.state} /srv/chom &&
  install -d -o root -g root -m 0700 ${PRIVATE} &&
  install -d -o root -g root -m 0755 ${paths.acme} ${`${paths.acme}/.well-known`} ${CHALLENGES} ${dirname(SLICES.path)} &&
  ${writeFile({ ...SLICES, mode: '0644' })} && systemctl daemon-reload`,
  };
}
