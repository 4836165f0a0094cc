import { backgroundUnits, siteDirectories, type SiteExamination } from '../host/site-examination.js';
import type { SiteUser } from '../host/user.js';
import type { SitePlan } from '../workflows/plans.js';
import type { Finding } from '../workflows/inspection.js';
import { fine, type Here, putBack, repair, wrong } from './finding.js';

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
  /** Its visitors are turned away, and nothing works for it. */
  suspended: boolean;
}

/** What is right and what is wrong with a site on its server. */
export function siteFindings(seen: SiteExamination, expected: ExpectedSite): Finding[] {
  const here = (command: string) => `${command} (on ${expected.server})`;
  return [
    ...user(seen, expected, here),
    ...directories(seen, expected, here),
    ...files(seen, expected, here),
    ...(expected.suspended ? suspension(seen, expected) : php(seen, expected)),
    ...pair(seen, expected, here),
    ...(expected.suspended ? [] : background(seen, expected)),
    ...database(seen, expected, here),
  ];
}

/** The server itself answers with the site's own file: what is seen from elsewhere is then about the way there. */
export function isServed({ answers, version }: SiteExamination, { certificate }: ExpectedSite): boolean {
  return version !== null && answers.http === version && (!certificate || answers.https === version);
}

function user({ user: entry }: SiteExamination, { site, uid, domain }: ExpectedSite, here: Here): Finding[] {
  const [, , foundUid, foundGid] = entry?.split(':') ?? [];
  if (foundUid === String(uid) && foundGid === String(uid)) return [fine('user', `User ${site} is there`)];
  if (entry === null) return [wrong('user', `User ${site} of ${domain} is gone`, repair(domain))];
  // usermod refuses while anything of the user runs; its units start again by themselves.
  const back = `pkill -KILL -U ${site}; usermod -u ${uid} ${site} && groupmod -g ${uid} ${site}`;
  const was = `User ${site} of ${domain} has uid ${foundUid} and gid ${foundGid}, and had ${uid} for both`;
  return [wrong('user', was, here(back))];
}

function directories({ directories: found }: SiteExamination, expected: ExpectedSite, here: Here): Finding[] {
  const { domain } = expected;
  const bad = Object.entries(siteDirectories(expected)).flatMap(([place, is]) => {
    if (found[place] === is) return [];
    const [mode = '', owner = '', group = ''] = is.split(' ');
    if (!found[place]) return [wrong('directories', `${place} is gone`, repair(domain))];
    const says = `${place} is ${found[place]}, and was ${is}`;
    return [wrong('directories', says, here(`install -d -m ${mode} -o ${owner} -g ${group} ${place}`))];
  });
  return bad.length > 0 ? bad : [fine('directories', 'Its directories have the owners and modes that they shall have')];
}

function files(seen: SiteExamination, expected: ExpectedSite, here: Here): Finding[] {
  const { changed, version } = seen;
  const { server, domain } = expected;
  if (changed.length > 0) {
    return changed.map(({ path, copy, gone }) =>
      wrong('files', `${path} ${gone ? 'is gone' : 'was changed by somebody else'}`, putBack(path, copy, server, here)),
    );
  }
  if (version === null) return [wrong('files', `nginx has no file for ${domain}`, repair(domain))];
  const published = fine('files', 'Its configuration is as CHOM published it');
  if (isServed(seen, expected)) return [published];
  const says = `${server} itself does not answer for ${domain} by that configuration`;
  const cause = 'nginx does not run, has not loaded it, or another server has the name';
  return [published, wrong('nginx', says, repair(domain), cause)];
}

function php({ php: found }: SiteExamination, { php: version, domain, server }: ExpectedSite): Finding[] {
  if (version === null) return [];
  if (!found.unit)
    return [wrong('php', "The unit of all sites' PHP is gone or was changed", `chom server add ${server}`)];
  if (!found.active) return [wrong('php', 'Its PHP does not run', repair(domain))];
  if (!found.socket) {
    return [wrong('php', 'Its PHP runs and has no socket', repair(domain))];
  }
  if (!found.enabled) return [wrong('php', 'Its PHP does not start with the server', repair(domain))];
  return [fine('php', `PHP ${version} runs`)];
}

function suspension({ php: found, background: jobs }: SiteExamination, { domain }: ExpectedSite): Finding[] {
  const works = found.active || Object.values(jobs).includes(true);
  if (works) return [wrong('suspended', 'It is suspended, and something works for it', repair(domain))];
  return [fine('suspended', 'It is suspended: visitors are turned away, and nothing works for it')];
}

function pair({ pair: found }: SiteExamination, { certificate, domain, site }: ExpectedSite, here: Here): Finding[] {
  if (!certificate && found === null) return [];
  if (found === null) return [wrong('key', 'Its certificate is gone from the server', repair(domain))];
  if (found.mode === '') return [wrong('key', 'The key of its certificate is gone from the server', repair(domain))];
  if (!found.matches) return [wrong('key', 'Its certificate and key do not belong together', repair(domain))];
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

function background({ background: found }: SiteExamination, { type, site, domain }: ExpectedSite): Finding[] {
  const names = BACKGROUND[type] ?? [];
  const down = backgroundUnits(site).filter(
    (unit) => names.some((name) => unit.startsWith(`chom-${name}@`)) && found[unit] !== true,
  );
  if (down.length === 0) return names.length === 0 ? [] : [fine('background', 'What it does by itself, it does')];
  return down.map((unit) => wrong('background', `${unit} does not run`, repair(domain)));
}

function database(seen: SiteExamination, expected: ExpectedSite, here: Here): Finding[] {
  // Who logs in as the Linux user that there is not is told of that.
  if (!expected.database || seen.user === null) return [];
  const { domain, site, type } = expected;
  const { database: found, mariadb } = seen;
  if (!mariadb) return [wrong('database', 'MariaDB does not run', here('systemctl start mariadb'))];
  if (found === null) {
    const cause = 'What was in it went with it; the command makes an empty one, for a copy to be read into';
    return [wrong('database', 'Its database is gone', repair(domain), cause)];
  }
  if (!found.reachable && found.asMade) {
    const says = `Its user does not reach its database: ${found.said}`;
    return [wrong('database', says, here('systemctl restart mariadb'), 'Connections that nobody ends, most likely')];
  }
  if (!found.reachable)
    return [wrong('database', `Its user does not reach its database: ${found.said}`, repair(domain))];
  if (!found.asMade) return [wrong('database', 'Its user has not the rights that CHOM gave it', repair(domain))];
  if (type === 'wordpress' && found.tables === 0) {
    const cause = 'A WordPress without tables is not installed: read a copy of the database into it';
    return [wrong('database', 'Its database holds no table', here(`mariadb ${site} <FILE`), cause)];
  }
  return [fine('database', 'Its user reaches its database')];
}
