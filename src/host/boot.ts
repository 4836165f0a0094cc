import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** A boot of a server, and what is at work since. */
export interface Boot {
  /** The kernel's name for this boot: another one after each. */
  id: string;
  /** Updates want a restart. */
  due: boolean;
  /** Units that serve sites, and are active. */
  services: string[];
  /** By site: the version that its nginx file answers with. */
  versions: Record<string, string>;
}

const ID = '/proc/sys/kernel/random/boot_id';

/** Between the job's end, which is on disk by then, and the restart that it asked for. */
const AFTER_SECONDS = 1;
/** A server that is still starting is given so long. */
const STARTED_SECONDS = 120;

/** Prints what `parseBoot` reads. Changes nothing. */
export function askBoot(): Script {
  return sh`export LC_ALL=C
echo "boot=$(cat ${ID})"
[ ! -e /run/reboot-required ] || echo due=yes
systemctl list-units --plain --no-legend --state=active nginx.service mariadb.service 'chom-php@*.service' 'chom-queue@*.service' 'chom-cron@*.timer' 'chom-scheduler@*.timer' | awk '{ print "service=" $1 }'
${askSiteVersions()}`;
}

/** Prints `version=SITE VERSION` for each site that nginx has a file of. */
export function askSiteVersions(): Script {
  return sh`for file in ${paths.nginx}/chom.d/s*.conf; do
  [ -e "$file" ] || continue
  echo "version=$(basename "$file" .conf) $(grep -o 'return 200 "[0-9a-f]*' "$file" | head -n 1 | cut -d '"' -f 2)"
done`;
}

export function parseSiteVersions(output: string): Record<string, string> {
  const lines = output.matchAll(/^version=(s[a-z2-7]{9}) ([0-9a-f]+)$/gm);
  return Object.fromEntries(Array.from(lines, ([, site = '', version = '']) => [site, version]));
}

export function parseBoot(output: string): Boot {
  const values = (name: string) =>
    Array.from(output.matchAll(new RegExp(`^${name}=(.+)$`, 'gm')), ([, one = '']) => one);
  return {
    id: values('boot')[0] ?? '',
    due: values('due').includes('yes'),
    services: values('service'),
    versions: parseSiteVersions(output),
  };
}

/**
 * Ends the boot of that id, and no other: whoever comes again after it finds it done. The restart is a timer's, so that the job
 * has ended and is on record before its server goes down, and it goes with that boot.
 */
export function restart(boot: string): { check: Script; act: Script } {
  return {
    check: sh`[ "$(cat ${ID})" != ${boot} ]`,
    // Whoever is told to stop while it starts may lose the word, as MariaDB does, and is waited for.
    act: sh`timeout ${STARTED_SECONDS} systemctl is-system-running --wait >/dev/null
[ "$(cat ${ID})" = ${boot} ] || exit 0
! systemctl -q is-active chom-restart.timer || exit 0
systemd-run --quiet --collect --unit=chom-restart --on-active=${AFTER_SECONDS} --timer-property=AccuracySec=100ms systemctl reboot`,
  };
}
