import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { resticCredentials, type RepositoryAccess } from './restic.js';
import { guardedRestic } from './restic-guard.js';
import { restoreBox } from './restore-box.js';
import {
  localRepository,
  outOfSpace,
  type RestoreChange,
  type RestoreFacts,
  type RestoreOrder,
} from './restore-manifest.js';
import { takeNames } from './restore-names.js';
import { RESTORED, restorePlaces } from './restore-places.js';
import { sh, type Script } from './shell.js';

/** www-data, by whose group nginx reads a site's files: the same on every Debian and Ubuntu (base-passwd). */
const WWW_DATA = 33;

/**
 * Restores the files of a backup beside those of the site, where only root can reach: counted against the manifest,
 * then given to the site's user, whatever number it had where the backup was made. Setuid, setgid and capabilities of
 * files are stripped, and devices, pipes and sockets left out; links stay as they are, also those that lead out of the
 * site, and are not followed. Hard links, holes, extended attributes and ACLs are kept.
 * Exit codes: notRestored, diskFull, restic's own.
 */
export function stageFiles(
  order: RestoreOrder & { files: string },
  { site: from, files }: RestoreFacts,
  access: RepositoryAccess,
): RestoreChange {
  const { site, uid, operation, files: snapshot } = order;
  const { beside, journal } = restorePlaces(site, operation);
  const staged = `/var/lib/${journal}/staged`;
  const tree = `${beside}/tree`;
  const restored = `${tree}${paths.root(from)}`;
  const counts = `${files?.files} ${files?.directories} ${files?.links} ${files?.bytes}`;
  return {
    check: sh`[ -s ${staged} ] || exit 1
staged=$(cat ${staged})
[ "$staged" = "$(${inodes(beside)})" ] || [ "$staged" = "$(${inodes(paths.root(site))})" ]`,
    act: sh`export LC_ALL=C
umask 077
# What lies beside may be what was live.
[ ! -e ${`/var/lib/${journal}/begun`} ] || { echo 'the switch to what was restored has begun already' >&2; exit 1; }
fail() {
  ${outOfSpace(beside)}
  echo "$1" >&2
  exit "$2"
}
rm -rf ${[staged, beside]} && mkdir -m 0700 ${beside} || fail ${`cannot make ${beside}`} 1
${guardedRestic(access, { cache: paths.resticCache(site) })} --no-lock restore ${snapshot} --target ${tree} --sparse || {
  code=$?
  ${outOfSpace(beside)}
  exit $code
}
counted=$(find ${tree} -mindepth 1 -printf '%y %s\n' | awk '{ n[$1]++; if ($1 == "f") bytes += $2 }
  END { printf "%d %d %d %.0f\n", n["f"], n["d"], n["l"], bytes }')
[ "$counted" = ${counts} ] ||
  fail "files, directories, links and bytes restored are $counted, but the manifest says "${counts} ${EXIT.notRestored}
for name in ${RESTORED}; do
  [ -d ${restored}/"$name" ] && [ ! -L ${restored}/"$name" ] || fail "the backup holds no directory $name" ${EXIT.notRestored}
done
${takeNames(restored, { from, site })} || fail 'what was restored cannot take the names of the site' 1
${toSite(restored, uid)} || fail 'what was restored cannot be given to the site' 1
for name in ${RESTORED}; do mv -T ${restored}/"$name" ${beside}/"$name" || fail 'cannot move what was restored' 1; done
rm -rf ${tree}
sync -f ${beside} || fail 'cannot write what was restored' 1
${inodes(beside)} >${`${staged}.new`} && sync ${`${staged}.new`} && mv -fT ${`${staged}.new`} ${staged} && sync ${`/var/lib/${journal}`} ||
  fail 'cannot note what was restored' 1`,
    properties: restoreBox({ site, operation, repository: localRepository(access) }),
    secrets: resticCredentials(access),
  };
}

/**
 * Prints by which numbers the directories that are restored are known, wherever they lie: on one filesystem, whose own
 * number may be another after a boot.
 */
export function inodes(place: string): Script {
  return sh`stat -c %i ${RESTORED.map((name) => `${place}/${name}`)} 2>/dev/null`;
}

/**
 * Makes a tree, which nobody else can reach, the site's own. chown(2) also takes capabilities away, and setuid from what
 * can be executed; a directory's setgid stays: by it nginx may read what the site makes there.
 */
export function toSite(tree: string, uid: number): Script {
  return sh`find ${tree} '(' -type b -o -type c -o -type p -o -type s ')' -delete &&
  find ${tree} ! -gid ${WWW_DATA} -exec chown -h ${`${uid}:${uid}`} {} + &&
  find ${tree} -gid ${WWW_DATA} -exec chown -h ${`${uid}:${WWW_DATA}`} {} + &&
  find ${tree} -type f -perm /7000 -exec chmod u-s,g-s,-t {} + &&
  find ${tree} -type d -perm /5000 -exec chmod u-s,-t {} +`;
}
