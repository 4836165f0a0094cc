import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** A distribution release as `/etc/os-release` names it. */
export interface Release {
  /** `debian`, `ubuntu`. */
  id: string;
  /** `13`, `24.04`. */
  version: string;
  /** What a person reads. */
  name: string;
}

/** What CHOM knows of a release that it runs on. */
export interface SupportedRelease {
  /** PHP version of the distribution. */
  php: '8.1' | '8.2' | '8.3' | '8.4';
  /** The distribution's restic is too old for what CHOM needs of it: a pinned release lies beside it. */
  oldRestic: boolean;
  /** CHOM's tests run on it. */
  tested: boolean;
}

const RELEASES: Record<string, SupportedRelease> = {
  'debian 12': { php: '8.2', oldRestic: true, tested: true },
  'debian 13': { php: '8.4', oldRestic: false, tested: true },
  'ubuntu 22.04': { php: '8.1', oldRestic: true, tested: false },
  'ubuntu 24.04': { php: '8.3', oldRestic: true, tested: false },
};

/** Reads the text of `/etc/os-release` (os-release(5)). */
export function parseRelease(text: string): Release {
  const fields = new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const [, name = '', value = ''] = /^([A-Z0-9_]+)=(.*)$/.exec(line) ?? [];
      return name === '' ? [] : [[name, value.replace(/^(["'])(.*)\1$/, '$2').replaceAll(/\\(.)/g, '$1')]];
    }),
  );
  const id = fields.get('ID') ?? 'unknown';
  const version = fields.get('VERSION_ID') ?? 'unknown';
  return { id, version, name: fields.get('PRETTY_NAME') ?? `${id} ${version}` };
}

/** Null where CHOM does not run. */
export function supportOf({ id, version }: Pick<Release, 'id' | 'version'>): SupportedRelease | null {
  return RELEASES[`${id} ${version}`] ?? null;
}

/** What is asked of a server before anything is changed on it. */
export interface Inspection {
  release: Release;
  /** systemd is the init of the server and runs. */
  systemd: boolean;
  /** Free MiB for /var, /srv and /etc: the least of them. */
  freeMiB: number;
  /** Seconds since the epoch by the server's clock. */
  clock: number;
  ipv6: boolean;
  /** Of machine-id(5); null where it has none. */
  machineId: string | null;
  /** Programs other than nginx that hold port 80 or 443, as `ss` names them. */
  portHolders: string[];
}

/** Prints what `parseInspection` reads. Changes nothing. */
export function inspect(): Script {
  return sh`export LC_ALL=C
echo "clock=$(date +%s)"
if [ -d /run/systemd/system ]; then echo systemd=yes; fi
if [ -e /proc/net/if_inet6 ]; then echo ipv6=yes; fi
echo "machine=$(cat /etc/machine-id 2>/dev/null)"
for place in /var /srv /etc; do
  echo "free=$(df -P -m "$place" | awk 'NR == 2 { print $4 }')"
done
ss -Hltnp '( sport = :80 or sport = :443 )' 2>/dev/null | grep -o 'users:(("[^"]*"' | cut -d '"' -f 2 |
  grep -vx nginx | sort -u | sed 's/^/holder=/'
echo release:
cat /etc/os-release`;
}

/** Reads the output of `inspect`. */
export function parseInspection(output: string): Inspection {
  const [facts = '', release = ''] = output.split(/^release:\n/m);
  const values = (name: string) =>
    facts.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  return {
    release: parseRelease(release),
    systemd: values('systemd').includes('yes'),
    ipv6: values('ipv6').includes('yes'),
    machineId: values('machine').find((id) => /^[0-9a-f]{32}$/.test(id)) ?? null,
    freeMiB: Math.min(...values('free').map(Number)),
    clock: Number(values('clock')[0]),
    portHolders: values('holder'),
  };
}

/** Prints the versions of what CHOM uses, for `parseVersions`. */
export function askVersions(): Script {
  return sh`export LC_ALL=C
nginx -v 2>&1 | sed -n 's,^nginx version: nginx/\([0-9.]*\).*,nginx=\1,p'
mariadb --version 2>/dev/null | sed -n 's,^.*\(Distrib\|from\) \([0-9.]*\).*,mariadb=\2,p'
{ ${paths.restic} version || restic version; } 2>/dev/null | sed -n 's,^restic \([0-9.]*\).*,restic=\1,p'
ssh -V 2>&1 | sed -n 's,^OpenSSH_\([0-9.p]*\).*,openssh=\1,p'
for fpm in /usr/sbin/php-fpm[0-9]*; do
  if [ -x "$fpm" ]; then echo "php=$(basename "$fpm" | sed s/php-fpm//)"; fi
done
if [ -e /proc/net/if_inet6 ]; then echo ipv6=yes; fi`;
}

/** Versions as `askVersions` printed them. */
export interface FoundVersions {
  php: string[];
  nginx?: string;
  mariadb?: string;
  restic?: string;
  openssh?: string;
  ipv6?: boolean;
}

export function parseVersions(output: string): FoundVersions {
  const found: FoundVersions = { php: [] };
  for (const line of output.split('\n')) {
    const [name, value = ''] = line.split('=');
    if (name === 'php') found.php.push(value);
    else if (name === 'ipv6') found.ipv6 = true;
    else if (name === 'nginx' || name === 'mariadb' || name === 'restic' || name === 'openssh') found[name] = value;
  }
  found.php.sort();
  return found;
}
