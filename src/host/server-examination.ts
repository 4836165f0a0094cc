import { askFirewall, parseFirewall, type FirewallFacts } from './firewall-facts.js';
import { unchanged } from './firewall.js';
import { missingPackages } from './packages.js';
import { paths } from './paths.js';
import { unitStands } from './php-fpm.js';
import { sh, type Script } from './shell.js';
import { askStrain, parseStrain, type Strain } from './strain.js';
import { askSwap, parseSwap, type SwapFacts } from './swap.js';
import { askUpdates, parseUpdates, type UpdateFacts } from './updates.js';

/** What a server says of itself when it is looked at. */
export interface ServerExamination {
  /** Seconds since the epoch by its clock. */
  clock: number;
  /** File systems that CHOM writes to. */
  disks: { place: string; freeMiB: number; freePercent: number; freeInodesPercent: number }[];
  missingPackages: string[];
  /** Version of the restic that CHOM uses; null: there is none. */
  restic: string | null;
  /** dpkg has half-installed ones. */
  brokenPackages: boolean;
  nginx: { active: boolean; enabled: boolean; complaint: string | null };
  mariadb: boolean;
  /** Sites whose FPM is there, and whether it runs. */
  php: { site: string; active: boolean }[];
  /** The unit that runs each of them is as CHOM wrote it. */
  phpUnit: boolean;
  failedUnits: string[];
  /** Published files that are not what CHOM published any more; null: the file is gone. */
  changed: { path: string; copy: string; gone: boolean }[];
  /** Services with a publication that died half-way. */
  pending: string[];
  /** Jobs that began, and neither ended nor run. */
  lostJobs: string[];
  /** Whom the server belongs to by its own claim; null: to nobody. */
  controller: string | null;
  rebootDue: boolean;
  /** Null: it did not say. */
  strain: Strain | null;
  firewall: FirewallFacts & { stands: boolean };
  updates: UpdateFacts;
  swap: SwapFacts;
}

/** Prints what `parseServerExamination` reads. Changes nothing. `packages`: those that CHOM needs there. */
export function examineServer(packages: readonly string[]): Script {
  return sh`export LC_ALL=C
echo "clock=$(date +%s)"
for place in / /var /srv /etc /tmp; do
  df -P -m "$place" | awk -v place="$place" 'NR == 2 { print "disk=" place, $4, int(100 * $4 / ($2 ? $2 : 1)), $1 }'
  df -P -i "$place" | awk -v place="$place" 'NR == 2 { print "inodes=" place, ($2 ? int(100 * $4 / $2) : 100) }'
done
${missingPackages(packages)}
missing | sed 's/^/missing=/'
[ -z "$(dpkg --audit)" ] || echo brokenpackages=yes
${paths.restic} version 2>/dev/null | sed -n 's,^restic \([0-9.]*\).*,restic=\1,p'
systemctl -q is-active nginx && echo nginx=active
systemctl -q is-enabled nginx 2>/dev/null && echo nginx=enabled
said=$(nginx -t -q 2>&1) || echo "complaint=$(echo "$said" | { grep -m 1 emerg || echo "$said" | tail -n 1; })"
systemctl -q is-active mariadb && echo mariadb=active
for site in ${paths.php}/*/php-fpm.conf; do
  [ -e "$site" ] || continue
  site=$(basename "$(dirname "$site")")
  if systemctl -q is-active "chom-php@$site"; then echo "php=$site active"; else echo "php=$site"; fi
done
if ${unitStands()}; then echo phpunit=stands; fi
systemctl list-units --failed --plain --no-legend 'chom*' 'nginx*' 'mariadb*' 'php*' 'logrotate*' 'apt-daily*' 'unattended*' | awk '{ print "failed=" $1 }'
changed() {
  [ -d "$1" ] || return 0
  ( cd "$1" && find . -type f -printf '%P\n' ) | while read -r path; do
    if [ ! -e "$2/$path" ]; then echo "gone=$1/$path $2/$path"
    elif ! cmp -s "$1/$path" "$2/$path"; then echo "changed=$1/$path $2/$path"
    fi
  done
}
changed ${`${paths.previous}/nginx/published`} ${paths.nginx}
changed ${`${paths.previous}/mariadb/published`} ${paths.mariadb}
changed ${`${paths.previous}/logrotate/published`} /etc/logrotate.d
changed ${`${paths.previous}/updates/published`} /etc/apt
for kept in ${paths.previous}/php-*/published; do changed "$kept" ${paths.php}; done
for pending in ${paths.previous}/*/pending; do
  [ ! -d "$pending" ] || echo "pending=$(basename "$(dirname "$pending")")"
done
for job in /var/lib/chom/jobs/chom-*; do
  [ -s "$job/current" ] || continue
  read -r attempt <"$job/current"
  [ -e "$job/$attempt/started" ] && [ ! -e "$job/$attempt/exit" ] || continue
  systemctl -q is-active "$(basename "$job").service" || echo "lost=$(basename "$job")"
done
[ ! -e ${paths.claims} ] || echo "controller=$(head -n 1 ${paths.claims})"
[ ! -e /run/reboot-required ] || echo reboot-required=yes
${askStrain()}
if ${unchanged()}; then echo stands=yes; fi
echo firewall:
( ${askFirewall()} )
echo updates:
( ${askUpdates()} )
echo swap:
( ${askSwap()} )
exit 0`;
}

/** Reads the output of `examineServer`. */
export function parseServerExamination(output: string): ServerExamination {
  const [facts = '', firewall = '', updates = '', swap = ''] = output.split(/^(?:firewall|updates|swap):\n/m);
  const lines = facts.split('\n');
  const values = (name: string) =>
    lines.flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  const inodes = new Map(values('inodes').map((line) => line.split(' ') as [string, string]));
  const seen = new Set<string>();
  const disks = values('disk').flatMap((line) => {
    const [place = '', freeMiB, freePercent, device = ''] = line.split(' ');
    // Directories of one file system are one disk.
    if (seen.has(device)) return [];
    seen.add(device);
    return [
      {
        place,
        freeMiB: Number(freeMiB),
        freePercent: Number(freePercent),
        freeInodesPercent: Number(inodes.get(place) ?? 100),
      },
    ];
  });
  const files = (name: string, gone: boolean) =>
    values(name).map((line) => {
      const [copy = '', path = ''] = line.split(' ');
      return { path, copy, gone };
    });
  return {
    clock: Number(values('clock')[0]),
    disks,
    missingPackages: values('missing'),
    restic: values('restic')[0] ?? null,
    brokenPackages: values('brokenpackages').includes('yes'),
    nginx: {
      active: values('nginx').includes('active'),
      enabled: values('nginx').includes('enabled'),
      complaint: values('complaint')[0] ?? null,
    },
    mariadb: values('mariadb').includes('active'),
    php: values('php').map((line) => ({ site: line.split(' ')[0] ?? '', active: line.endsWith(' active') })),
    phpUnit: values('phpunit').includes('stands'),
    failedUnits: values('failed'),
    changed: [...files('changed', false), ...files('gone', true)],
    pending: values('pending'),
    lostJobs: values('lost'),
    controller: values('controller')[0] ?? null,
    rebootDue: values('reboot-required').includes('yes'),
    strain: parseStrain(facts),
    firewall: { ...parseFirewall(firewall), stands: values('stands').includes('yes') },
    updates: parseUpdates(updates),
    swap: parseSwap(swap),
  };
}
