import type { SitePlan } from '../workflows/plans.js';

/** Where things lie on a server. `site` is a checked site id, so that no name here needs quoting or can climb. */
export const paths = {
  /** root, 0711: nginx must pass through it to `acme`; everything else below is 0700. */
  state: '/var/lib/chom',
  /** The shared webroot of HTTP-01 challenges, root's, readable by nginx. */
  acme: '/var/lib/chom/acme',
  staging: '/var/lib/chom/staging',
  /** Previous versions of published files, outside every include. */
  previous: '/var/lib/chom/previous',
  temporary: '/var/lib/chom/tmp',
  locks: '/var/lib/chom/locks',
  recovery: '/var/lib/chom/recovery',
  /** One file per site that CHOM made here, with its uid: what is not listed here is not ours to touch. */
  sites: '/var/lib/chom/sites',
  /** Every uid that a site ever got here, see uids.ts. */
  uids: '/var/lib/chom/uids',
  /** Whom the server belongs to, see claim.ts. */
  claims: '/var/lib/chom/claims/server',
  /** One empty file per program that CHOM itself installed. */
  installed: '/var/lib/chom/installed',
  /** systemd's sockets for MariaDB that CHOM turned off, until it leaves. */
  mariadbSockets: '/var/lib/chom/mariadb-sockets',
  /** Programs of CHOM's own choice. */
  lib: '/usr/local/lib/chom',
  /** A link to the restic that CHOM uses: the distribution's, or a pinned one beside it where that is too old. */
  restic: '/usr/local/lib/chom/restic',
  /** What restic keeps of repositories so as not to fetch it again; encrypted as it is there. */
  resticCache: (site: string) => `/var/cache/chom/restic/${site}`,
  /** What is noted of the backups of its sites, by site; they themselves lie in storages. */
  backups: '/var/lib/chom/backups',
  /** What is noted of restores and trials of backups, by site. */
  restores: '/var/lib/chom/restores',
  /** By whom a storage of this server is reached over SFTP: the key of each user. */
  backupKeys: '/etc/chom/backup-keys',
  tls: (site: string) => `/var/lib/chom/tls/${site}`,
  nginx: '/etc/nginx',
  mariadb: '/etc/mysql',
  php: '/etc/chom/php',
  /** The rules of CHOM's own firewall; missing where it has none. */
  firewall: '/etc/chom/firewall.nft',
  /** How the mail of sites leaves the server; missing where it does not. */
  mail: '/etc/chom/msmtprc',
  socket: (site: string) => `/run/chom-php/${site}.sock`,
  logs: (site: string) => `/var/log/nginx/chom/${site}`,
  root: (site: string) => `/srv/chom/${site}`,
} as const;

/** The directory of a site's files. */
export function documentRoot(site: string): string {
  return `${paths.root(site)}/app`;
}

/** The directory of a site that nginx serves, and that PHP takes for its document root. */
export function webRoot({ site, type }: Pick<SitePlan, 'site' | 'type'>): string {
  return type === 'laravel' ? `${documentRoot(site)}/public` : documentRoot(site);
}
