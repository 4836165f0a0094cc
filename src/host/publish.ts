import { dirname } from 'node:path/posix';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { serviceLock, type Service } from './service-lock.js';
import { join, sh, type Script } from './shell.js';

/** One file of a service's configuration as it shall be. */
export interface Change {
  /** Relative to the tree. */
  path: string;
  /** Null: the file shall not be there. */
  text: string | null;
}

/** A change to the configuration of a service. */
export interface Publication {
  /** What the operator knows it by; also the directory of its previous versions. */
  service: string;
  /** Where others change the same tree: the lock that excludes them. */
  lock?: Service;
  /** Root of the service's configuration, for example `/etc/nginx`. */
  tree: string;
  /** Made in this order; after each of them the tree must be one that the service starts with. */
  changes: readonly [Change, ...Change[]];
  /** Under the lock, before anything else: directories, ports. `refuse CODE SENTENCE` ends it. */
  before?: Script;
  /**
   * The service's own test of the tree at its place. Prints why, exits non-zero to refuse; `EXIT.conflict` where the
   * change gets in the way of something that is not ours.
   */
  test: Script;
  /** Makes the service take the tree as it is now; also called to go back. Must not interrupt other sites. */
  apply: Script;
  /** Exit 0 once what was published is what the service works with; asked again until the deadline. */
  served: Script;
  /** Under the lock, after success. */
  after?: Script;
}

const DEADLINE_SECONDS = 20;

/**
 * Publishes so that an untested file is never where a start of the service would read it, and that a change which does
 * not work is taken back: a copy of the tree with the changes is tested at the real path in a mount namespace of its
 * own → fsync, rename, fsync of the directory → the live tree is tested → the service takes it → it is seen to work.
 * What was there before lies in `previous/<service>/pending` meanwhile, so that the next publication, whoever's it is,
 * takes back one that died in between; what was published is kept in `published` for whoever compares.
 * Exit codes: rejected, broken, notServed, diskFull, lockTimeout, conflict.
 */
export function publish(publication: Publication): { check: Script; act: Script } {
  const { service, tree, changes, test, apply, served } = publication;
  const previous = `${paths.previous}/${service}`;
  const [{ path: name }] = changes;
  const so = sh`( ${served} ) || exit 1`;
  const act = join([
    sh`umask 022
export LC_ALL=C`,
    publication.lock ? serviceLock(publication.lock) : NOTHING,
    sh`tree=${tree}
pending=${`${previous}/pending`}
kept=${`${previous}/kept`}
published=${`${previous}/published`}
install -d -m 0700 ${paths.temporary} ${paths.previous} ${previous}
rm -rf ${`${paths.temporary}/publish-${service}`}.*
work=$(mktemp -d ${`${paths.temporary}/publish-${service}.XXXXXXXX`}) || exit ${EXIT.diskFull}
trap 'rm -rf "$work"' EXIT
try() { ( ${test} ); }
apply() { ( ${apply} ); }
served() { ( ${served} ); }
already() { ( ${join([...changes.map((change, n) => isSo(tree, change, sh`"$work/"new.${n}`)), so])} ); }`,
    FUNCTIONS,
    sh`note() {
${join(changes.map(noted))}
if [ -d "$published" ]; then find "$published" -depth -mindepth 1 -type d -empty -delete; fi
}`,
    ...changes.map(({ text }, n) =>
      text === null ? NOTHING : sh`printf %s ${text} >"$work/"new.${n} || cannot_write`,
    ),
    // What a job left that was killed before it renamed.
    ...[...new Set(changes.map((change) => dirname(change.path)))].map((place) => sh`rm -f "$tree"/${place}/.chom.*`),
    sh`if [ -d "$pending" ]; then
  if [ "$(cat "$pending/for")" = ${name} ] && already; then
    keep
    note
    ${publication.after ?? NOTHING}
    exit 0
  fi
  restore || exit 1
fi`,
    publication.before ?? NOTHING,
    sh`cp -a "$tree" "$work/candidate" || cannot_write`,
    ...changes.map(candidate),
    sh`unshare --mount sh -c ${
      sh`mount --bind "$1" ${tree} || exit 99
${test}`.script
    } sh "$work/candidate" >"$work/said" 2>&1
tested=$?
if [ "$tested" -ne 0 ]; then
  if [ "$tested" -ne ${EXIT.conflict} ] && ! try >"$work/said-live" 2>&1; then
    cat "$work/said-live" >&2
    refuse ${EXIT.broken} ${`the configuration of ${service} was broken before this change: `}"$(why "$work/said-live")"
  fi
  cat "$work/said" >&2
  [ "$tested" -ne ${EXIT.conflict} ] || refuse ${EXIT.conflict} ${`the change collides with what ${service} serves already: `}"$(tail -n 1 "$work/said")"
  [ "$tested" -ne 99 ] || refuse 1 ${`cannot test a candidate configuration of ${service}`}
  refuse ${EXIT.rejected} ${`${service} refuses this change: `}"$(why "$work/said")"
fi
mkdir "$work/pending" "$work/pending/files" "$work/pending/absent" || cannot_write
printf %s ${name} >"$work/pending/for" || cannot_write`,
    ...changes.map(remember),
    sh`find "$work/pending" ! -type l -exec sync {} +
mv -T "$work/pending" "$pending" && sync ${previous} || cannot_write`,
    ...changes.map(swap),
    sh`if ! try >"$work/said" 2>&1; then
  cat "$work/said" >&2
  refuse ${EXIT.rejected} ${`${service} refuses this change where it would be live: `}"$(why "$work/said")"
fi
apply >&2 || refuse ${EXIT.notServed} ${`${service} did not take the change; it was taken back`}
until=$(date -d ${`${DEADLINE_SECONDS} seconds`} +%s)
while ! served; do
  [ "$(date +%s)" -lt "$until" ] ||
    refuse ${EXIT.notServed} ${`the change to ${service} was not seen to work within ${DEADLINE_SECONDS} seconds and was taken back`}
  sleep 0.02
done
keep
note`,
    publication.after ?? NOTHING,
    sh`exit 0`,
  ]);
  // A publication that died in between must not pass for one that was completed.
  const check = join([
    sh`[ "$(cat ${`${previous}/pending/for`} 2>/dev/null)" != ${name} ] || exit 1`,
    ...changes.map((change) => isSo(tree, change, sh`-`, sh`printf %s ${change.text ?? ''} |`)),
    // Taken away by somebody else it is still noted, and would be missed.
    ...changes.flatMap(({ path, text }) =>
      text === null ? [sh`[ ! -e ${`${previous}/published/${path}`} ] || exit 1`] : [],
    ),
    so,
  ]);
  return { check, act };
}

const NOTHING = sh`:`;

const FUNCTIONS = sh`# Puts back what the pending directory holds, by rename.
restore() {
  bad=$( ( cd "$pending/files" && find . -mindepth 1 ! -type d ) | while read -r path; do
    spare="$tree/$(dirname "$path")/.chom.$$"
    cp -a "$pending/files/$path" "$spare" && mv -fT "$spare" "$tree/$path" && sync "$(dirname "$tree/$path")" || echo "$path"
  done )
  ( cd "$pending/absent" && find . -type f ) | while read -r path; do
    rm -f "$tree/$path" && sync "$(dirname "$tree/$path")"
  done
  try >/dev/null 2>&1 && apply
  # It is the only copy: the next publication tries again.
  if [ -n "$bad" ]; then
    echo "could not be put back below $tree: $bad" >&2
    return 1
  fi
  rm -rf "$pending"
}
keep() {
  mkdir -p "$kept" && cp -a "$pending/files/." "$kept"
  rm -rf "$pending"
}
# The line that names file and line number, of what a tool said.
why() {
  { grep -m 1 -E '\[emerg\]|ERROR' "$1" || tail -n 1 "$1"; } | sed 's,^[0-9/]* [0-9:]* \(\[emerg\]\) [0-9#]*:,nginx: \1,'
}
refuse() {
  [ ! -d "$pending" ] || restore >&2
  echo "$2" >&2
  exit "$1"
}
cannot_write() {
  for place in "$tree" ${paths.state}; do
    space=$(df -P -k "$place" | awk 'NR == 2 { print $4 }')
    inodes=$(df -P -i "$place" | awk 'NR == 2 { print $4 }')
    if [ "$space" -lt 1024 ] || [ "$inodes" = 0 ]; then refuse ${EXIT.diskFull} "no space is left for $place"; fi
  done
  refuse 1 "cannot write below $tree"
}`;

function isSo(tree: string, { path, text }: Change, wanted: Script, from = sh``): Script {
  const target = `${tree}/${path}`;
  if (text === null) return sh`[ ! -e ${target} ] && [ ! -L ${target} ] || exit 1`;
  return sh`${from} cmp -s ${wanted} ${target} || exit 1`;
}

function candidate({ path, text }: Change, n: number): Script {
  const target = sh`"$work/candidate"/${path}`;
  if (text === null) return sh`rm -f ${target}`;
  return sh`mkdir -p "$work/candidate"/${dirname(path)} && cp --remove-destination "$work/"new.${n} ${target} || cannot_write`;
}

function remember({ path }: Change): Script {
  const place = dirname(path);
  return sh`if [ -e "$tree"/${path} ] || [ -L "$tree"/${path} ]; then
  mkdir -p "$work/pending/files"/${place} && cp -a "$tree"/${path} "$work/pending/files"/${path} || cannot_write
else
  mkdir -p "$work/pending/absent"/${place} && : >"$work/pending/absent"/${path} || cannot_write
fi`;
}

/** What was published, so that a later change by somebody else can be seen, and taken back. */
function noted({ path, text }: Change, n: number): Script {
  const place = dirname(path);
  if (text === null) return sh`rm -f "$published"/${path}`;
  return sh`mkdir -p "$published"/${place} && cp "$work/"new.${n} "$published"/${path}`;
}

function swap({ path, text }: Change, n: number): Script {
  const place = dirname(path);
  if (text === null) return sh`if [ -d "$tree"/${place} ]; then rm -f "$tree"/${path} && sync "$tree"/${place}; fi`;
  return sh`mkdir -p "$tree"/${place} && spare=$(mktemp "$tree"/${place}/.chom.XXXXXXXX) || cannot_write
cat "$work/"new.${n} >"$spare" && chmod 0644 "$spare" && sync "$spare" &&
  mv -fT "$spare" "$tree"/${path} && sync "$tree"/${place} || {
  rm -f "$spare"
  cannot_write
}`;
}
