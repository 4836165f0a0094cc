import type { CheckedStep } from './certificate.js';
import { pairPaths } from './certificate.js';
import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/**
 * Leaves of all that was made for a site's certificate the pair in use, as two files of root's alone, where they were;
 * where there is none, nothing. nginx must not read them any more. Succeeds when there was nothing.
 */
export function keepPair(site: string): CheckedStep {
  const directory = paths.tls(site);
  const { key, chain } = pairPaths(site);
  return {
    check: sh`[ -e ${directory} ] || exit 0
${isKept(site)} && [ "$(ls -A ${directory} | wc -l)" = 2 ]`,
    act: sh`set -eu
umask 077
[ -d ${directory} ] || exit 0
cd ${directory}
for file in ${[key, chain]}; do
  [ -L "$file" ] && [ -e "$file" ] || continue
  install -m 0600 "$file" "$file.new"
  sync "$file.new"
  mv -fT "$file.new" "$file"
done
if [ ! -f ${key} ] || [ ! -f ${chain} ]; then
  cd /
  rm -rf ${directory}
  exit 0
fi
find . -mindepth 1 -maxdepth 1 ! -name key.pem ! -name fullchain.pem -exec rm -rf {} +
chmod 0700 .
sync .`,
  };
}

/** A command: whether a pair is kept there for a site that was deleted. */
export function isKept(site: string): Script {
  const { key, chain } = pairPaths(site);
  return sh`[ "$(stat -c '%F %a %u' ${[key, chain]} 2>/dev/null)" = ${'regular file 600 0\nregular file 600 0'} ]`;
}

/** Removes what `keepPair` kept. Succeeds when there was nothing. */
export function removeKeptPair(site: string): CheckedStep {
  const directory = paths.tls(site);
  return { check: sh`[ ! -e ${directory} ]`, act: sh`rm -rf ${directory} && sync ${`${paths.state}/tls`}` };
}
