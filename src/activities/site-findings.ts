import { backgroundUnits, siteDirectories, type SiteExamination } from '../host/site-examination.js';
import type { SiteUser } from '../host/user.js';
import type { SitePlan } from '../workflows/plans.js';
import type { Finding } from '../workflows/inspection.js';
import { fine, putBack, wrong } from './server-findings.js';

/** What the inventory says of a site that was examined. */
export interface ExpectedSite extends SiteUser {
  domain: string;
  server: string;
  type: SitePlan['type'];
  php: string | null;
  /** It has a database, of its own name. */
  database: boolean;
  /** A certificate is recorded as installed. */
  certificate: boolean;
}

/** What is right and what is wrong with a site on its server. */
export function siteFindings(seen: SiteExamination, expected: ExpectedSite): Finding[] {
  const here = (command: string) => `${command} (on ${expected.server})`;
  return [
    ...user(seen, expected, here),
    ...directories(seen, expected, here),
    ...files(seen, expected, here),
    ...php(seen, expected, here),
    ...pair(seen, expected, here),
    ...background(seen, expected, here),
    ...database(seen, expected, here),
  ];
}

type Here = (command: string) => string;

function user({ user: entry }: SiteExamination, { site, uid, domain }: ExpectedSite, here: Here): Finding[] {
  const [, , foundUid, foundGid] = entry?.split(':') ?? [];
  if (foundUid === String(uid) && foundGid === String(uid)) return [fine('user', `User ${site} is there`)];
  if (entry !== null) {
    return [
      wrong('user', `User ${site} of ${domain} has uid ${foundUid}, and had ${uid}`, here(`usermod -u ${uid} ${site}`)),
    ];
  }
  const home = `/srv/chom/${site}`;
  const add = `groupadd -g ${uid} ${site}; useradd -u ${uid} -g ${site} -d ${home} -M -s /usr/sbin/nologin -c 'CHOM site' ${site}`;
  return [wrong('user', `User ${site} of ${domain} is gone`, here(add))];
}

function directories({ directories: found }: SiteExamination, expected: ExpectedSite, here: Here): Finding[] {
  const bad = Object.entries(siteDirectories(expected)).flatMap(([place, is]) => {
    if (found[place] === is) return [];
    const [mode = '', owner = '', group = ''] = is.split(' ');
    const says = found[place] ? `${place} is ${found[place]}, and was ${is}` : `${place} is gone`;
    return [wrong('directories', says, here(`install -d -m ${mode} -o ${owner} -g ${group} ${place}`))];
  });
  return bad.length > 0 ? bad : [fine('directories', 'Its directories have the owners and modes that they shall have')];
}

function files({ changed, version }: SiteExamination, { server, domain }: ExpectedSite, here: Here): Finding[] {
  if (changed.length > 0) {
    return changed.map(({ path, copy, gone }) =>
      wrong('files', `${path} ${gone ? 'is gone' : 'was changed by somebody else'}`, putBack(path, copy, server, here)),
    );
  }
  if (version !== null) return [fine('files', 'Its configuration is as CHOM published it')];
  return [wrong('files', `nginx has no file for ${domain}`, `chom server doctor ${server}`)];
}

function php(
  { php: { active, socket } }: SiteExamination,
  { php: version, site }: ExpectedSite,
  here: Here,
): Finding[] {
  if (version === null) return [];
  if (active && socket) return [fine('php', `PHP ${version} runs`)];
  const says = active ? 'Its PHP runs and has no socket' : 'Its PHP does not run';
  return [wrong('php', says, here(`systemctl restart chom-php@${site}`))];
}

function pair({ pair: found }: SiteExamination, { certificate, domain, site }: ExpectedSite, here: Here): Finding[] {
  if (!certificate && found === null) return [];
  const issue = `chom certificate issue ${domain}`;
  if (found === null) return [wrong('key', 'Its certificate is gone from the server', issue)];
  if (!found.matches) return [wrong('key', 'Its certificate does not belong to its key', issue)];
  if (found.mode === '600') return [fine('key', 'Its certificate and key belong together')];
  return [
    wrong('key', `Others may read its key (mode ${found.mode})`, here(`chmod 600 /var/lib/chom/tls/${site}/key.pem`)),
  ];
}

/** What a type of site does by itself; a unit that the type has no use for is nobody's loss. */
const BACKGROUND: Partial<Record<SitePlan['type'], readonly string[]>> = {
  wordpress: ['cron'],
  laravel: ['scheduler', 'queue'],
};

function background({ background: found }: SiteExamination, { type, site }: ExpectedSite, here: Here): Finding[] {
  const names = BACKGROUND[type] ?? [];
  const down = backgroundUnits(site).filter(
    (unit) => names.some((name) => unit.startsWith(`chom-${name}@`)) && found[unit] !== true,
  );
  if (down.length === 0) return names.length === 0 ? [] : [fine('background', 'What it does by itself, it does')];
  return down.map((unit) => wrong('background', `${unit} does not run`, here(`systemctl enable --now ${unit}`)));
}

function database({ database: found }: SiteExamination, expected: ExpectedSite, here: Here): Finding[] {
  if (found === null) {
    if (!expected.database) return [];
    const next = here('systemctl start mariadb');
    return [wrong('database', 'Its database is gone, or MariaDB does not run', next)];
  }
  if (found.reachable) return [fine('database', 'Its user reaches its database')];
  return [wrong('database', `Its user does not reach its database: ${found.said}`, here('systemctl start mariadb'))];
}
