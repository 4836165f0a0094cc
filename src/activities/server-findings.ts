import { isRecentRestic, LEAST_RESTIC } from '../host/restic-install.js';
import type { ServerExamination } from '../host/server-examination.js';
import { needsSwap } from '../host/swap.js';
import type { Protection } from '../inventory/servers.js';
import type { Finding } from '../workflows/inspection.js';
import { about, fine, type Here, putBack, repair, wrong } from './finding.js';
import { strainFindings } from './strain-findings.js';

/** What the inventory says of a server that was examined. */
export interface ExpectedServer {
  name: string;
  controller: string;
  /** Null: nobody ever said what is wanted. */
  protection: Protection | null;
  /** Those that are live on it. */
  sites: { site: string; domain: string; php: boolean }[];
  /** An operation is at work there: what is half-way may be on its way. */
  busy: boolean;
}

/** A clock that is further off spoils logs and one-time codes; certificates survive more. */
const MOST_CLOCK_SECONDS = 60;
const TWO_FIREWALLS =
  'What comes in has to pass both: a port that is opened in one stays shut; the command takes down that of CHOM';
const LEAST_FREE = { mib: 512, percent: 5 };

/** What is right and what is wrong with a server. `now`: milliseconds since the epoch. */
export function serverFindings(seen: ServerExamination, expected: ExpectedServer, now: number): Finding[] {
  const { name } = expected;
  const here = (command: string) => `${command} (on ${name})`;
  return [
    clock(seen, now, here),
    ...disks(seen, here),
    ...strainFindings(seen.strain, here),
    ...packages(seen, name, here),
    restic(seen, name),
    ...nginx(seen, expected, here),
    seen.mariadb
      ? fine('mariadb', 'MariaDB runs')
      : wrong('mariadb', 'MariaDB does not run', here('systemctl start mariadb')),
    ...php(seen, expected),
    ...units(seen, here),
    ...changes(seen, expected, here),
    ...leftovers(seen, expected, here),
    claim(seen, expected),
    ...protection(seen, expected, here),
    seen.rebootDue
      ? wrong('restart', 'Updates want the server restarted', `chom server reboot ${name}`)
      : fine('restart', 'No update waits for a restart'),
  ];
}

function clock(seen: ServerExamination, now: number, here: Here): Finding {
  const off = Math.round(seen.clock - now / 1000);
  if (Math.abs(off) <= MOST_CLOCK_SECONDS) return fine('clock', 'The clock is right');
  const says = `The clock is ${Math.abs(off)} s ${off > 0 ? 'ahead' : 'behind'}`;
  return wrong('clock', says, here('timedatectl set-ntp true'));
}

function disks({ disks: all }: ServerExamination, here: Here): Finding[] {
  const full = all.flatMap(({ place, freeMiB, freePercent, freeInodesPercent }) => [
    ...(freeMiB < LEAST_FREE.mib || freePercent < LEAST_FREE.percent
      ? [
          about(
            place,
            wrong(
              'disk',
              `${place} has ${freeMiB} MiB free (${freePercent} %)`,
              here(`du -xhd 3 ${place} | sort -h | tail`),
            ),
          ),
        ]
      : []),
    ...(freeInodesPercent < LEAST_FREE.percent
      ? [
          about(
            `inodes of ${place}`,
            wrong(
              'disk',
              `${place} has ${freeInodesPercent} % of its inodes free`,
              here(`du -xd 3 --inodes ${place} | sort -n | tail`),
            ),
          ),
        ]
      : []),
  ]);
  return full.length > 0 ? full : [fine('disk', 'There is space on all disks')];
}

function packages({ missingPackages, brokenPackages }: ServerExamination, name: string, here: Here): Finding[] {
  if (brokenPackages) {
    return [wrong('packages', 'An installation of packages was interrupted', here('dpkg --configure -a'))];
  }
  if (missingPackages.length === 0) return [fine('packages', 'All packages are installed')];
  return [wrong('packages', `Packages are missing: ${missingPackages.join(', ')}`, `chom server add ${name}`)];
}

function restic({ restic: version }: ServerExamination, name: string): Finding {
  if (isRecentRestic(version)) return fine('restic', `restic ${version} makes the backups`);
  const message = version === null ? 'There is no restic for backups' : `restic ${version} is too old for backups`;
  return wrong('restic', message, `chom server add ${name}`, `restic ${LEAST_RESTIC} or later is needed`);
}

function nginx({ nginx: seen }: ServerExamination, { sites }: ExpectedServer, here: Here): Finding[] {
  const { active, enabled, complaint } = seen;
  const found: Finding[] = [];
  if (complaint !== null) {
    // A file of a site of ours, or its certificate, comes back by command; what others wrote, only they know.
    const ours = sites.find(({ site }) => complaint.includes(site));
    const next = ours ? repair(ours.domain) : here('nginx -t');
    found.push(about('configuration', wrong('nginx', `nginx refuses its configuration: ${complaint}`, next)));
  }
  found.push(
    // What it refuses it does not start with: the one thing before the other.
    ...(active || complaint !== null ? [] : [wrong('nginx', 'nginx does not run', here('systemctl start nginx'))]),
    ...(enabled
      ? []
      : [about('boot', wrong('nginx', 'nginx does not start with the server', here('systemctl enable nginx')))]),
  );
  return found.length > 0 ? found : [fine('nginx', 'nginx runs, and its configuration is valid')];
}

function php({ php: units_, phpUnit }: ServerExamination, { name, sites }: ExpectedServer): Finding[] {
  const wanted = sites.filter(({ php: runs }) => runs);
  if (!phpUnit) return [wrong('php', "The unit of all sites' PHP is gone or was changed", `chom server add ${name}`)];
  const running = new Set(units_.filter(({ active }) => active).map(({ site }) => site));
  const down = wanted.filter(({ site }) => !running.has(site));
  if (down.length === 0) return [fine('php', wanted.length === 0 ? 'No site runs PHP' : 'PHP runs for all its sites')];
  return down.map(({ site, domain }) => about(site, wrong('php', `PHP of ${domain} does not run`, repair(domain))));
}

function units({ failedUnits }: ServerExamination, here: Here): Finding[] {
  if (failedUnits.length === 0) return [fine('units', 'No unit has failed')];
  return failedUnits.map((unit) => {
    // A job's unit is made anew each time: there is nothing to start.
    const job = /^chom-[0-9a-f]{20}/.test(unit);
    // Of a site's own code only who wrote it can say why; its timer starts it again.
    if (/^chom-(?:cron|scheduler)@/.test(unit))
      return about(
        unit,
        wrong('units', `${unit} has failed`, here(`journalctl -n 20 -u ${unit}`), 'The code of the site failed'),
      );
    const mend = here(`systemctl ${job ? 'reset-failed' : 'restart'} ${unit}`);
    return about(unit, wrong('units', `${unit} has failed`, mend));
  });
}

function changes({ changed }: ServerExamination, { name }: ExpectedServer, here: Here): Finding[] {
  if (changed.length === 0) return [fine('files', "CHOM's files are as it published them")];
  return changed.map(({ path, copy, gone }) =>
    about(
      path,
      wrong('files', `${path} ${gone ? 'is gone' : 'was changed by somebody else'}`, putBack(path, copy, name, here)),
    ),
  );
}

function leftovers({ pending, lostJobs }: ServerExamination, expected: ExpectedServer, here: Here): Finding[] {
  const { busy, name, sites } = expected;
  if (busy || (pending.length === 0 && lostJobs.length === 0)) {
    return [fine('leftovers', busy ? 'An operation is at work' : 'Nothing is left half-way')];
  }
  return [
    ...pending.map((service) => {
      // Whoever changes the same next takes it back; a site's PHP is changed by that site alone.
      const [, site] = /^php-(s[a-z2-7]{9})$/.exec(service) ?? [];
      const domain = sites.find((one) => one.site === site)?.domain;
      const ofNobody = here(`rm -r /var/lib/chom/previous/${service}/pending`);
      const ofSite = domain === undefined ? ofNobody : repair(domain);
      const mend = site === undefined ? `chom server add ${name}` : ofSite;
      return about(service, wrong('leftovers', `A change to ${service} was left half-way`, mend));
    }),
    ...lostJobs.map((job) =>
      about(job, wrong('leftovers', `Job ${job} began and never ended`, here(`rm -r /var/lib/chom/jobs/${job}`))),
    ),
  ];
}

function claim({ controller }: ServerExamination, { controller: own, name }: ExpectedServer): Finding {
  if (controller === own) return fine('claim', 'The server belongs to this installation of CHOM');
  if (controller === null) return wrong('claim', 'The server belongs to nobody', `chom server add ${name}`);
  return wrong(
    'claim',
    `The server belongs to another installation of CHOM (${controller})`,
    `chom server adopt ${name}`,
  );
}

function protection(seen: ServerExamination, { protection: wanted, name }: ExpectedServer, here: Here): Finding[] {
  if (wanted === null) return [];
  const add = `chom server add ${name}`;
  const { firewall, updates, swap } = seen;
  const found: Finding[] = [];
  if (!wanted.firewall) {
    found.push(
      firewall.up
        ? wrong('firewall', 'A firewall of CHOM is up, and none is wanted', `${add} --no-firewall`)
        : fine('firewall', 'No firewall of CHOM is wanted'),
    );
  } else if (firewall.others.length > 0) {
    const they = firewall.others.join(' and ');
    found.push(
      firewall.up || firewall.kept
        ? wrong('firewall', `${they} filters here, and CHOM's own firewall beside it`, add, TWO_FIREWALLS)
        : fine('firewall', `${they} filters here, and CHOM leaves it to that`),
    );
  } else if (firewall.stands) found.push(fine('firewall', 'The firewall is up, as CHOM made it'));
  else if (firewall.unusable !== null) found.push(fine('firewall', `Nobody can filter here (${firewall.unusable})`));
  else found.push(wrong('firewall', firewall.up ? 'The firewall was changed' : 'The firewall is down', add));
  if (!wanted.updates) found.push(fine('updates', 'Security updates are not wanted'));
  else if (!updates.on) found.push(wrong('updates', 'Security updates do not come by themselves', add));
  else if (updates.idle.length > 0) {
    found.push(
      ...updates.idle.map((timer) =>
        about(timer, wrong('updates', `${timer} does not run`, here(`systemctl enable --now ${timer}`))),
      ),
    );
  } else found.push(fine('updates', 'Security updates come by themselves'));
  if (!wanted.logrotate) found.push(fine('logs', 'Rotating the logs of sites is not wanted'));
  const { needed, obstacle } = needsSwap(swap);
  if (wanted.swap && needed && obstacle === null)
    found.push(
      swap.on
        ? wrong('swap', 'Swap is on, and will not be after the next boot', add)
        : wrong('swap', 'Memory is short and there is no swap', add),
    );
  else found.push(fine('swap', obstacle ?? (wanted.swap ? 'There is enough memory, or swap' : 'No swap is wanted')));
  return found;
}
