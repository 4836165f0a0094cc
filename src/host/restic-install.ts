import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { serviceLock } from './service-lock.js';
import { sh, type Script } from './shell.js';

/** What CHOM's use of restic needs: exit codes that tell, --stdin-from-command, and no false success (0.17), --stuck-request-timeout. */
export const LEAST_RESTIC = '0.17.1';

/** Which restic a server has. */
export interface ResticFacts {
  /** As dpkg names it: `amd64`, `arm64`. */
  architecture: string;
  /** Version of the distribution's; null where there is none. */
  distribution: string | null;
  /** Version of the one that CHOM uses. */
  used: string | null;
  /** Where that one lies. */
  target: string | null;
}

/** Prints what `parseResticFacts` reads. Changes nothing. */
export function askRestic(): Script {
  return sh`export LC_ALL=C
echo "architecture=$(dpkg --print-architecture)"
version() { "$1" version 2>/dev/null | sed -n "s,^restic \([0-9.]*\).*,$2=\1,p"; }
version /usr/bin/restic distribution
version ${paths.restic} used
echo "target=$(readlink ${paths.restic})"`;
}

export function parseResticFacts(output: string): ResticFacts {
  const values = new Map(output.split('\n').map((line): [string, string] => splitAt(line)));
  const value = (name: string) => values.get(name) || null;
  const [distribution, used, target] = [value('distribution'), value('used'), value('target')];
  return { architecture: value('architecture') ?? '', distribution, used, target };
}

/** Whether a version of restic (`0.18.0`) is one that CHOM works with; null is none. */
export function isRecentRestic(version: string | null | undefined): boolean {
  const parts = (text: string) => text.split('.').map(Number);
  const [is, least] = [parts(version ?? ''), parts(LEAST_RESTIC)];
  const at = least.findIndex((number, index) => (is[index] ?? 0) !== number);
  return at === -1 || (is[at] ?? 0) > (least[at] ?? 0);
}

/** CHOM uses the distribution's: it comes with the distribution's updates. */
export function useDistributionRestic(): { check: Script; act: Script } {
  return {
    check: sh`[ "$(readlink ${paths.restic})" = /usr/bin/restic ]`,
    act: sh`set -eu
${serviceLock('packages')}
${link('/usr/bin/restic')}`,
  };
}

/** Where the pinned release of that hash lies. */
export function pinnedResticPath(sha256: string): string {
  return `${paths.restic}-${sha256.slice(0, 16)}`;
}

/**
 * CHOM uses a release that `file` holds as it was published, packed by bzip2 or not, beside the distribution's. Its hash was
 * checked when it came. Exit codes: unsupported (it does not run here, or is too old), lockTimeout.
 */
export function usePinnedRestic({ file, sha256 }: { file: string; sha256: string }): { check: Script; act: Script } {
  const path = pinnedResticPath(sha256);
  return {
    check: sh`[ "$(readlink ${paths.restic})" = ${path} ] && [ -x ${path} ]`,
    act: sh`set -eu
${serviceLock('packages')}
umask 022
mkdir -p ${directoryOf(path)}
if [ "$(head -c 3 ${file})" = BZh ]; then bzip2 -dc <${file} >${`${path}.new`}; else cat ${file} >${`${path}.new`}; fi
chmod 0755 ${`${path}.new`}
version=$(${`${path}.new`} version 2>&1 | sed -n 's,^restic \([0-9.]*\).*,\1,p')
if ! printf '%s\n' ${LEAST_RESTIC} "$version" | sort -V -C; then
  rm -f ${`${path}.new`}
  echo ${`this release of restic does not run here, or is older than ${LEAST_RESTIC}`} >&2
  exit ${EXIT.unsupported}
fi
sync ${`${path}.new`}
mv -fT ${`${path}.new`} ${path}
${link(path)}
# No other release of CHOM's is used any more.
for old in ${paths.restic}-*; do [ "$old" = ${path} ] || rm -f "$old"; done
rm -f ${file}`,
  };
}

function link(target: string): Script {
  return sh`mkdir -p ${directoryOf(paths.restic)}
ln -sfn ${target} ${`${paths.restic}.new`}
mv -fT ${`${paths.restic}.new`} ${paths.restic}
sync ${directoryOf(paths.restic)}`;
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function splitAt(line: string): [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}
