import { pairPaths } from './certificate.js';
import { documentRoot, paths } from './paths.js';
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
  php: { active: boolean; socket: boolean };
  /** Its units that are to run without a visitor, and whether they do. */
  background: Record<string, boolean>;
  /** Null: it has none. */
  pair: { matches: boolean; mode: string } | null;
  /** Null: it has none; else what it said when the site's own user asked. */
  database: { reachable: boolean; said: string } | null;
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
export function examineSite({ site }: Pick<SiteUser, 'site'>): Script {
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
systemctl -q is-active ${`chom-php@${site}.service`} && echo php=active
[ -S ${paths.socket(site)} ] && echo php=socket
for unit in ${backgroundUnits(site)}; do
  [ -e "/etc/systemd/system/$unit" ] || continue
  case "$(systemctl show -P ActiveState "$unit")" in active | activating) echo "background=$unit active" ;; *) echo "background=$unit" ;; esac
done
if [ -e ${key} ] || [ -e ${chain} ]; then
  if [ "$(openssl x509 -in ${chain} -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in ${key} -pubout 2>/dev/null)" ] &&
    openssl pkey -in ${key} -noout 2>/dev/null; then echo pair=matches; fi
  echo "pairmode=$(stat -L -c '%a' ${key} 2>/dev/null)"
fi
if [ -n "$(mariadb -N -B -e ${`SHOW DATABASES LIKE '${site}'`} 2>/dev/null)" ]; then
  said=$(${asSite(site, sh`mariadb -N -B -e 'SELECT 1' ${site}`)} 2>&1) && echo database=reachable || echo "database=$said" | tail -n 1
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
  const [database] = values('database');
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
    php: { active: values('php').includes('active'), socket: values('php').includes('socket') },
    background: Object.fromEntries(
      values('background').map((line) => [line.split(' ')[0] ?? '', line.endsWith(' active')]),
    ),
    pair: mode === undefined ? null : { matches: values('pair').includes('matches'), mode },
    database: database === undefined ? null : { reachable: database === 'reachable', said: database },
    addresses: (values('addresses')[0] ?? '').split(' ').filter(Boolean),
  };
}
