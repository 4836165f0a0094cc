import { pairPaths, pairStands } from './certificate.js';
import { countTables, createDatabase } from './database.js';
import { askVersion } from './nginx-site.js';
import { documentRoot, paths } from './paths.js';
import { unitStands } from './php-fpm.js';
import { sh, type Script } from './shell.js';
import { asSite, type SiteUser } from './user.js';

/** What a server says of one site. */
export interface SiteExamination {
  /** The user as `getent passwd` has it, or null. */
  user: string | null;
  /** Directories by path: mode, owner and group, or null where there is none. */
  directories: Record<string, string | null>;
  /** The version that its nginx file answers with; null: there is no file. */
  version: string | null;
  /** Its published files that are not what CHOM published any more. */
  changed: { path: string; copy: string; gone: boolean }[];
  /** The versions that answer for its name on the server itself; null: another server does, or none. */
  answers: { http: string | null; https: string | null };
  /** `unit`: the one that runs every site's PHP is as CHOM wrote it. */
  php: { active: boolean; enabled: boolean; socket: boolean; unit: boolean };
  /** Its units that are to run without a visitor, and whether they do. */
  background: Record<string, boolean>;
  /** Null: it has none. `fingerprint`: SHA-256 of the certificate, lower-case hexadecimal; empty where there is none. */
  pair: { matches: boolean; mode: string; fingerprint: string } | null;
  mariadb: boolean;
  /** Null: it has none; else what it said when the site's own user asked, and whether database and rights are as made. */
  database: { reachable: boolean; said: string; asMade: boolean; tables: number } | null;
  addresses: string[];
}

/** What a site may have running without a visitor. */
export function backgroundUnits(site: string): string[] {
  return [`chom-cron@${site}.timer`, `chom-scheduler@${site}.timer`, `chom-queue@${site}.service`];
}

/** The directories of a site, and what each must be. */
export function siteDirectories({ site }: Pick<SiteUser, 'site'>): Record<string, string> {
  const root = paths.root(site);
  return {
    '/srv/chom': '711 root root',
    [root]: '751 root root',
    [documentRoot(site)]: `2750 ${site} www-data`,
    [`${root}/shared`]: `2750 ${site} www-data`,
    [`${root}/tmp`]: `700 ${site} ${site}`,
    [paths.logs(site)]: '751 root adm',
  };
}

/** Prints what `parseSiteExamination` reads. Changes nothing. */
export function examineSite({ site, domain }: Pick<SiteUser, 'site'> & { domain: string }): Script {
  const file = `${paths.nginx}/chom.d/${site}.conf`;
  const { key, chain } = pairPaths(site);
  const nginxCopy = `${paths.previous}/nginx/published/chom.d/${site}.conf`;
  const phpCopies = `${paths.previous}/php-${site}/published`;
  return sh`export LC_ALL=C
echo "user=$(getent passwd ${site})"
for place in ${Object.keys(siteDirectories({ site }))}; do
  echo "directory=$place $(stat -c '%a %U %G' "$place" 2>/dev/null)"
done
echo "version=$(grep -o 'return 200 "[0-9a-f]*' ${file} 2>/dev/null | head -n 1 | cut -d '"' -f 2)"
compare() {
  [ -e "$1" ] || return 0
  if [ ! -e "$2" ]; then echo "gone=$1 $2"; elif ! cmp -s "$1" "$2"; then echo "changed=$1 $2"; fi
}
compare ${nginxCopy} ${file}
for name in environment php-fpm.conf; do
  compare ${phpCopies}/${site}/"$name" ${paths.php}/${site}/"$name"
done
echo "http=$(${askVersion(domain, 'http')})"
echo "https=$(${askVersion(domain, 'https')})"
systemctl -q is-active ${`chom-php@${site}.service`} && echo php=active
systemctl -q is-enabled ${`chom-php@${site}.service`} 2>/dev/null && echo php=enabled
if ${unitStands()}; then echo php=unit; fi
[ -S ${paths.socket(site)} ] && echo php=socket
for unit in ${backgroundUnits(site)}; do
  [ -e "/etc/systemd/system/$unit" ] || continue
  case "$(systemctl show -P ActiveState "$unit")" in active | activating) echo "background=$unit active" ;; *) echo "background=$unit" ;; esac
done
if [ -e ${key} ] || [ -e ${chain} ]; then
  if ${pairStands(site)}; then echo pair=matches; fi
  echo "fingerprint=$(openssl x509 -in ${chain} -noout -fingerprint -sha256 2>/dev/null | cut -d = -f 2 | tr -d : | tr A-F a-f)"
  echo "pairmode=$(stat -L -c '%a' ${key} 2>/dev/null)"
fi
if systemctl -q is-active mariadb; then echo mariadb=active; fi
if [ -n "$(mariadb -N -B -e ${`SHOW DATABASES LIKE '${site}'`} 2>/dev/null)" ]; then
  said=$(${asSite(site, sh`mariadb -N -B -e 'SELECT 1' ${site}`)} 2>&1) && echo database=reachable || echo "database=$said" | tail -n 1
  if ${createDatabase(site).check}; then echo database=made; fi
  echo "tables=$(${countTables(site)})"
fi
echo "addresses=$(hostname -I)"
exit 0`;
}

/** Reads the output of `examineSite`. */
export function parseSiteExamination(output: string): SiteExamination {
  const lines = output.split('\n');
  const values = (name: string) =>
    lines.flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  const files = (name: string, gone: boolean) =>
    values(name).map((line) => {
      const [copy = '', path = ''] = line.split(' ');
      return { path, copy, gone };
    });
  const database = values('database').find((said) => said !== 'made');
  const [mode] = values('pairmode');
  return {
    user: values('user')[0] || null,
    directories: Object.fromEntries(
      values('directory').map((line) => {
        const [place = '', ...is] = line.split(' ');
        return [place, is.join(' ') || null];
      }),
    ),
    version: values('version')[0] || null,
    changed: [...files('changed', false), ...files('gone', true)],
    answers: { http: version(values('http')[0]), https: version(values('https')[0]) },
    php: {
      active: values('php').includes('active'),
      enabled: values('php').includes('enabled'),
      socket: values('php').includes('socket'),
      unit: values('php').includes('unit'),
    },
    background: Object.fromEntries(
      values('background').map((line) => [line.split(' ')[0] ?? '', line.endsWith(' active')]),
    ),
    pair:
      mode === undefined
        ? null
        : { matches: values('pair').includes('matches'), mode, fingerprint: values('fingerprint')[0] ?? '' },
    mariadb: values('mariadb').includes('active'),
    database:
      database === undefined
        ? null
        : {
            reachable: database === 'reachable',
            said: database,
            asMade: values('database').includes('made'),
            tables: Number(values('tables')[0]),
          },
    addresses: (values('addresses')[0] ?? '').split(' ').filter(Boolean),
  };
}

/** What answered, if it is one of CHOM's files: another server may say anything. */
function version(said: string | undefined): string | null {
  return said !== undefined && /^[0-9a-f]+$/.test(said) ? said : null;
}
