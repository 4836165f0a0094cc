import { backgroundUnits } from './background.js';
import type { RestoreChange } from './restore-manifest.js';
import { sh } from './shell.js';

/** What PHP is working on may end; FPM itself ends it after 10 s (php-fpm.ts). */
const PHP_SECONDS = 15;

/**
 * Stops all that works for a site, so that nobody writes while it is exchanged: its jobs, and PHP once that has answered
 * what it has begun. Also not started at a boot. Visitors must see the maintenance page by then (`siteFile`), or they
 * see errors. `startPhp` and `startBackground` start it again. Succeeds when there was nothing.
 */
export function stopSite(site: string): RestoreChange {
  const php = `chom-php@${site}.service`;
  const units = [...backgroundUnits(site), php];
  return {
    check: sh`for unit in ${units}; do
  ! systemctl -q is-enabled "$unit" 2>/dev/null || exit 1
  case "$(systemctl show -P ActiveState "$unit")" in inactive | failed) ;; *) exit 1 ;; esac
done`,
    act: sh`for unit in ${units}; do
  ! systemctl -q is-enabled "$unit" 2>/dev/null || systemctl -q disable "$unit" || exit 1
done
systemctl stop ${backgroundUnits(site)} 2>/dev/null
main=$(systemctl show -P MainPID ${php})
if [ "\${main:-0}" -gt 0 ]; then
  # As php-fpm(8) says: QUIT waits for running requests, TERM, which systemd sends, does not.
  kill -QUIT "$main"
  # Left to itself tail looks once a second, and visitors wait.
  timeout ${PHP_SECONDS} tail -s 0.02 -f --pid="$main" /dev/null
fi
systemctl stop ${php} || exit 1
systemctl reset-failed ${units} 2>/dev/null
exit 0`,
  };
}
