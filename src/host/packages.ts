import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { serviceLock } from './service-lock.js';
import { sh, type Script } from './shell.js';

/** Programs that CHOM needs on a server, and the packages that bring them. */
export interface Packages {
  /** The distribution's PHP version. */
  php: string;
  /** A release of restic is to be unpacked. */
  oldRestic?: boolean;
  /** Of what an operator may do without, what is wanted. */
  more: readonly OptionalPackage[];
}

type OptionalPackage = 'nftables' | 'unattended-upgrades' | 'logrotate';

/** What the protection that is wanted needs. Where nothing was ever said of it, logs are rotated, and no more. */
export function optionalPackages(wanted: {
  firewall?: boolean | undefined;
  updates?: boolean | undefined;
  logrotate?: boolean | undefined;
}): OptionalPackage[] {
  const { firewall = false, updates = false, logrotate = true } = wanted;
  return [
    ...(firewall ? (['nftables'] as const) : []),
    ...(updates ? (['unattended-upgrades'] as const) : []),
    ...(logrotate ? (['logrotate'] as const) : []),
  ];
}

/** Installed where they are missing. sudo is not among them: who logs in is root or has it. */
export function wantedPackages({ php, oldRestic = false, more }: Packages): string[] {
  return [
    ...(oldRestic ? ['bzip2'] : []),
    'ca-certificates',
    'curl',
    'git',
    'iproute2',
    'mariadb-server',
    'msmtp',
    'openssl',
    'procps',
    'restic',
    'rsync',
    // What WordPress and Laravel want of PHP.
    ...['cli', 'fpm', 'mysql', 'curl', 'gd', 'intl', 'mbstring', 'xml', 'zip'].map((part) => `php${php}-${part}`),
    ...more,
  ];
}

/** As long as a new server's own first updates may take. */
const LOCK_SECONDS = 600;

/**
 * Installs what is missing, and asks nobody: existing configuration files stay, the package manager's locks are waited
 * for (`waitSeconds`), an interrupted installation is completed first. What CHOM brought itself is marked below `installed/`, for only
 * that is its to configure as a whole. Exit codes: packageManagerBusy, diskFull, lockTimeout.
 */
export function installPackages(packages: Packages, waitSeconds = LOCK_SECONDS): { check: Script; act: Script } {
  const find = missingPackages(wantedPackages(packages));
  return {
    check: sh`export LC_ALL=C
${find}
[ -z "$(missing)" ] || exit 1
[ -z "$(dpkg --audit)" ]`,
    act: sh`export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
${find}
${serviceLock('packages', 600)}
# Prints who holds a lock of a package manager; fails where nobody does.
holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    [ -e "$lock" ] || continue
    pid=$(awk -v inode=":$(stat -c %i "$lock")" '$2 != "->" && substr($6, length($6) - length(inode) + 1) == inode { print $5; exit }' /proc/locks)
    [ -n "$pid" ] || continue
    echo "$(cat "/proc/$pid/comm" 2>/dev/null || echo 'another package manager') (pid $pid) holds $lock"
    return 0
  done
  return 1
}
refuse() {
  if who=$(holder); then
    echo "$who" >&2
    exit ${EXIT.packageManagerBusy}
  fi
  for place in /var/cache/apt /usr /var/lib/dpkg; do
    if [ "$(df -P -m "$place" | awk 'NR == 2 { print $4 }')" -lt 64 ]; then
      echo "no space is left for $place" >&2
      exit ${EXIT.diskFull}
    fi
  done
  echo "$1" >&2
  exit 1
}
apt() {
  # Descriptor 9 is the lock: a service that a package starts must not keep it.
  apt-get -q -y -o ${`DPkg::Lock::Timeout=${waitSeconds}`} -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
    --no-install-recommends "$@" 9>&- </dev/null >&2
}
# A new server's own first start installs packages too.
if command -v cloud-init >/dev/null; then timeout ${waitSeconds} cloud-init status --wait >/dev/null 2>&1; fi
# dpkg waits for nobody, and apt not for all of its locks.
waited=0
while who=$(holder); do
  [ $waited -lt ${waitSeconds} ] || { echo "$who" >&2; exit ${EXIT.packageManagerBusy}; }
  waited=$((waited + 1))
  sleep 1
done
install -d -m 0700 ${paths.installed}
dpkg --configure -a --force-confold 9>&- </dev/null >&2 || refuse 'an interrupted installation cannot be completed: dpkg --configure -a'
packages=$(missing)
[ -n "$packages" ] || exit 0
case "$packages" in
  *mariadb-server*) [ -e /usr/sbin/mariadbd ] || : >${`${paths.installed}/mariadb`} ;;
esac
apt update || refuse 'the lists of packages cannot be fetched'
# What died while it was unpacked counts for apt as there already.
half=$(for package in $packages; do [ "$(state "$package")" != half-installed ] || echo "$package"; done)
[ -z "$half" ] || apt --reinstall install $half || refuse 'packages cannot be installed anew'
apt install $packages || refuse 'packages cannot be installed'
[ -z "$(missing)" ] || refuse "packages are still missing: $(missing | tr '\n' ' ')"
echo "$packages"`,
  };
}

/** The shell functions `state`, of one package as dpkg knows it, and `missing`: prints those of them that are not installed. */
export function missingPackages(packages: readonly string[]): Script {
  return sh`state() { dpkg-query -W -f '\${db:Status-Status}' "$1" 2>/dev/null; }
missing() {
  for package in ${packages}; do
    [ "$(state "$package")" = installed ] || echo "$package"
  done
  # Any nginx will do.
  [ -x /usr/sbin/nginx ] || echo nginx-light
}`;
}
