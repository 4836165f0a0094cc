import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** Services of a server that several sites share, and that one change at a time may touch. */
export type Service = 'nginx' | 'php-fpm' | 'mariadb' | 'packages' | 'firewall' | 'storage';

/**
 * Takes the server-wide lock of a service until the script ends, whatever ends it: descriptor 9 holds it, so a program
 * that lives on must be started with `9>&-`. A site's claim is taken before, never after. Exits with `lockTimeout`.
 */
export function serviceLock(service: Service, waitSeconds = 240): Script {
  return sh`install -d -m 0700 ${paths.locks}
exec 9>>${`${paths.locks}/${service}`}
flock -w ${waitSeconds} 9 || {
  echo ${`another change to ${service} did not end within ${waitSeconds} seconds`} >&2
  exit ${EXIT.lockTimeout}
}`;
}
