import { posix } from 'node:path';
import { failure } from '../workflows/failures.js';
import { EXCHANGE } from './exchange.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { resticCredentials, type RepositoryAccess } from './restic.js';
import { guardedRestic } from './restic-guard.js';
import { restoreBox } from './restore-box.js';
import { toSite } from './restore-files.js';
import { localRepository, outOfSpace, type RestoreChange, type RestoreOrder } from './restore-manifest.js';
import { RESTORED, restorePlaces } from './restore-places.js';
import { sh, type Script } from './shell.js';
import { asSite } from './user.js';

/**
 * Restores one file or directory of a backup beside the site; `path` is relative to the site, for example
 * `app/wp-content/uploads`. Unlike `stageFiles` it lies in a directory of the site's user, for only that may then put it
 * into a directory that is the site's. Exit codes: notRestored (the backup holds no such path), diskFull, restic's own.
 * @throws InvalidInput a path that leads elsewhere
 */
export function stagePath(
  order: RestoreOrder & { files: string },
  from: string,
  path: string,
  access: RepositoryAccess,
): RestoreChange {
  const { site, uid, operation, files: snapshot } = order;
  const { beside, journal } = restorePlaces(site, operation);
  const staged = `/var/lib/${journal}/path`;
  const restored = `${beside}/tree${paths.root(from)}/${checked(path)}`;
  // restic takes it for a pattern.
  const pattern = `${paths.root(from)}/${path}`.replaceAll(/[\\*?[\]]/g, '\\$&');
  return {
    check: sh`[ -s ${staged} ]`,
    act: sh`export LC_ALL=C
umask 077
fail() {
  ${outOfSpace(beside)}
  echo "$1" >&2
  exit "$2"
}
rm -rf ${beside} && mkdir -m 0700 ${beside} || fail ${`cannot make ${beside}`} 1
${guardedRestic(access, { cache: paths.resticCache(site) })} --no-lock restore ${snapshot} --target ${`${beside}/tree`} --include ${pattern} --sparse || {
  code=$?
  ${outOfSpace(beside)}
  exit $code
}
[ -e ${restored} ] || [ -L ${restored} ] || fail ${`the backup holds no ${path}`} ${EXIT.notRestored}
${toSite(`${beside}/tree`, uid)} || fail 'what was restored cannot be given to the site' 1
[ -e ${restored} ] || [ -L ${restored} ] || fail ${`${path} is no file, directory or link`} ${EXIT.notRestored}
mkdir -m 0700 ${`${beside}/hand`} && mv -T ${restored} ${item(beside)} && chown ${`${uid}:${uid}`} ${`${beside}/hand`} &&
  rm -rf ${`${beside}/tree`} && chmod 0711 ${beside} && sync -f ${beside} || fail 'cannot write what was restored' 1
${inode(item(beside))} >${`${staged}.new`} && sync ${`${staged}.new`} && mv -fT ${`${staged}.new`} ${staged} && sync ${`/var/lib/${journal}`} ||
  fail 'cannot note what was restored' 1`,
    properties: restoreBox({ site, operation, repository: localRepository(access) }),
    secrets: resticCredentials(access),
  };
}

/**
 * Puts what `stagePath` restored in its place, as the site's user; what was there then lies where that lay. Directories
 * above it are made where they are missing, and stay.
 */
export function switchPath({ site, operation }: Pick<RestoreOrder, 'site' | 'operation'>, path: string): RestoreChange {
  const { beside, journal } = restorePlaces(site, operation);
  const live = `${paths.root(site)}/${checked(path)}`;
  const staged = sh`[ -s ${`/var/lib/${journal}/path`} ] && staged=$(cat ${`/var/lib/${journal}/path`}) || { echo 'nothing was restored' >&2; exit 1; }`;
  const there = sh`[ "$(${asSite(site, inode(live))})" = "$staged" ]`;
  return {
    check: sh`${staged}
${there}`,
    act: sh`export LC_ALL=C
${staged}
if ${there}; then exit 0; fi
${asSite(
  site,
  sh`mkdir -p ${posix.dirname(live)} || exit 1
if [ -e ${live} ] || [ -L ${live} ]; then ${exchange(item(beside), live)}
else mv -T ${item(beside)} ${live}
fi`,
)} || exit 1
sync -f ${paths.root(site)}`,
  };
}

/** Takes `switchPath` back. Succeeds when there was nothing. */
export function switchPathBack(
  { site, operation }: Pick<RestoreOrder, 'site' | 'operation'>,
  path: string,
): RestoreChange {
  const { beside, journal } = restorePlaces(site, operation);
  const live = `${paths.root(site)}/${checked(path)}`;
  const elsewhere = sh`staged=$(cat ${`/var/lib/${journal}/path`} 2>/dev/null)
[ -z "$staged" ] || [ "$(${asSite(site, inode(live))})" != "$staged" ]`;
  return {
    check: elsewhere,
    act: sh`export LC_ALL=C
if ( ${elsewhere} ); then exit 0; fi
${asSite(
  site,
  sh`if [ -e ${item(beside)} ] || [ -L ${item(beside)} ]; then ${exchange(item(beside), live)}
else mv -T ${live} ${item(beside)}
fi`,
)} || exit 1
sync -f ${paths.root(site)}`,
  };
}

function item(beside: string): string {
  return `${beside}/hand/item`;
}

function inode(path: string): Script {
  return sh`stat -c %i ${path} 2>/dev/null`;
}

function exchange(one: string, other: string): Script {
  return sh`perl -e ${EXCHANGE} "$(uname -m)" ${one} ${other}`;
}

function checked(path: string): string {
  const [first = '', ...below] = path.split('/');
  const inside = below.length > 0 && below.every((name) => name !== '' && name !== '.' && name !== '..');
  if (!inside || !(RESTORED as readonly string[]).includes(first)) {
    throw failure('InvalidInput', `${path} is no path below ${RESTORED.join(' or ')} of a site`);
  }
  return path;
}
