import { progressDirectory } from './backup-progress.js';
import { CONFINEMENT } from './confinement.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** What is noted of a site's backups on its server. */
export function backupState(site: string): string {
  return `${paths.backups}/${site}`;
}

/**
 * The unit in which root reads a site: of /srv it sees that site alone and read-only. `repository` is a directory on the
 * server itself.
 */
export function backupBox({
  site,
  operation,
  repository,
}: {
  site: string;
  operation: string;
  repository: string | null;
}): string[] {
  return [
    ...CONFINEMENT,
    `BindReadOnlyPaths=${paths.root(site)}`,
    ...(repository === null ? [] : [`BindPaths=-${repository}`]),
    `StateDirectory=${below('/var/lib/', backupState(site))}`,
    `CacheDirectory=${below('/var/cache/', paths.resticCache(site))}`,
    ...[`RuntimeDirectory=${progressDirectory(operation)}`, 'RuntimeDirectoryMode=0700'],
    ...['PrivateDevices=yes', 'RestrictSUIDSGID=yes'],
    // The first is restic's; the others are dropped before it starts, see `withoutLinks`.
    'CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_SETPCAP',
  ];
}

/**
 * Runs a script with no capability but that to read everything, where no link in the site's directories is followed: a
 * directory that the site swaps for one, between restic's look at it and its opening, leads nowhere. (Linux 5.10 on;
 * mount(8) of util-linux 2.38 and older, as in Debian 12, passes the option on only by name.) Exit codes: unsupported.
 */
export function withoutLinks(site: string, script: Script): Script {
  const options = 'remount,bind,ro,nosuid,nodev,noexec,nosymfollow';
  const root = paths.root(site);
  return sh`export LC_ALL=C
for place in $(awk -v root=${root} '$5 == root || index($5, root "/") == 1 { print $5 }' /proc/self/mountinfo); do
  mount -o ${options} "$place" && grep -q " $place [^-]*nosymfollow" /proc/self/mountinfo || {
    echo 'the kernel or mount(8) of the server cannot leave links alone (nosymfollow): a site could lead its backup astray' >&2
    exit ${EXIT.unsupported}
  }
done
exec setpriv --bounding-set=-all,+dac_read_search --inh-caps=-all --ambient-caps=-all sh -c ${script.script}`;
}

function below(parent: string, path: string): string {
  if (!path.startsWith(parent)) throw new RangeError(`${path} is not below ${parent}`);
  return path.slice(parent.length);
}
