import type { BackupLimits } from './backup.js';
import { DUMP_CHECKER } from './dump-checker.js';
import { EXIT } from './exit-codes.js';
import { restic, type RepositoryAccess } from './restic.js';
import { RESTIC_GUARD } from './restic-guard.js';
import { RESTIC_WATCHER } from './restic-watcher.js';
import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

interface Steps {
  site: string;
  operation: string;
  /** The first line of the manifest, without its last brace. */
  head: string;
  database: boolean;
  files: { directories: string[]; excluded: string[] } | null;
  access: RepositoryAccess;
  limits: BackupLimits;
  /** Directory of what is noted on the server. */
  state: string;
  /** File of how far it is. */
  progress: string;
}

/** So long may restic take for what is small: a list of snapshots, a manifest, a lock. */
const SMALL_SECONDS = 600;
/** Beside what a lock is waited for: against a storage that does not answer restic itself tries for 15 minutes. */
const OPEN_SECONDS = 180;

/** Prints counts of what `restic ls --json` lists, and exits 1 where a wanted directory is not among it. */
const COUNT = String.raw`
use strict; use warnings;
my %wanted = map { $_ => 1 } @ARGV;
my %of = (file => 0, dir => 0, symlink => 0, other => 0);
my $bytes = 0;
while (my $line = <STDIN>) {
  my ($type) = $line =~ /"type":"(\w+)"/ or next;
  delete $wanted{$1} if $type eq 'dir' && $line =~ /"path":"([^"]*)"/;
  $of{exists $of{$type} ? $type : 'other'}++;
  $bytes += $1 if $type eq 'file' && $line =~ /"size":(\d+)/;
}
if (my ($lacks) = sort keys %wanted) { print STDERR "the snapshot lacks $lacks\n"; exit 1 }
print "\"files\":$of{file},\"directories\":$of{dir},\"links\":$of{symlink},\"others\":$of{other},\"bytes\":$bytes";
`;

/** Prints id, role, and what was new, of each snapshot in the array of 'restic snapshots --json', the newest last. */
const LIST = String.raw`
use strict; use warnings;
local $/; my $all = <STDIN>;
while ($all =~ /"tags":\[([^\]]*)\](.*?)"id":"([0-9a-f]{64})"/gs) {
  my ($tags, $between, $id) = ($1, $2, $3);
  my ($role) = $tags =~ /"role=([a-z]+)"/;
  my ($new, $stored) = map { $between =~ /"$_":(\d+)/ ? $1 : 0 } 'data_added', 'data_added_packed';
  print join(' ', $id, $role // 'none', $new, $stored), "\n";
}
`;

/** Defines the shell functions `make_anew` and `find_again`. Names beginning with `$t` are the unit's own files. */
export function backupSteps(steps: Steps): { functions: Script } {
  const { site, operation, head, database, files, access, limits, state, progress } = steps;
  const stuckSeconds = limits.awaySeconds;
  const waiting = { cache: paths.resticCache(site), waitSeconds: limits.lockSeconds, stuckSeconds };
  const guarded = (script: Script) => sh`perl "$t/guard.pl" ${limits.awaySeconds} env ${script}`;
  const cached = guarded(restic(access, waiting));
  // What is read back comes from the storage, and without a lock, for nothing of it can be taken away meanwhile.
  const fresh = guarded(restic(access, { stuckSeconds }));
  const functions = sh`umask 077
t=/tmp/chom
mkdir -p "$t/dump" || exit 1
printf %s ${DUMP_CHECKER} >"$t/checker.pl" && printf %s ${RESTIC_GUARD} >"$t/guard.pl" && printf %s ${RESTIC_WATCHER} >"$t/watcher.pl" &&
  printf %s ${COUNT} >"$t/count.pl" && printf %s ${LIST} >"$t/list.pl" || exit 1
# restic is told to stop together with this shell, which waits until it has taken its lock away.
trap 'stopped=yes' INT TERM
stopped=
fail() {
  printf '%s\n' "$1" >&2
  exit "$2"
}
# After a program: it may have ended because all were told to.
go_on() { [ -z "$stopped" ] || fail 'the backup was stopped' 130; }
free() { df -P -m "$1" | awk 'NR == 2 { print $4 }'; }
# What restic's exit code does not say: whose disk is full.
gave_up() {
  go_on
  for place in /tmp ${paths.resticCache(site)} ${state}; do
    [ "$(free "$place")" -ge 16 ] || fail "no space is left for $place" ${EXIT.diskFull}
  done
  exit "$1"
}
small() { ${guarded(restic(access, { ...waiting, limitSeconds: SMALL_SECONDS }))} "$@"; }
# back ARGUMENTS…: its exit code goes into a file, for it is read through a pipe.
back() { ${fresh} --no-lock "$@"; echo $? >"$t/back.code"; }
# That the storage went away is not that it holds something else; what is damaged restic says.
was_read() {
  go_on
  read -r code <"$t/back.code"
  [ "$code" -eq 0 ] || gave_up "$code"
}
# Locks of those that died on this server, taken away. Where the storage does not answer, what follows would wait as long.
unlock() {
  small unlock >&2 || {
    code=$?
    [ "$code" -ne 124 ] || gave_up 124
  }
}
field() { sed -n "s/.*\"$2\":\([0-9][0-9]*\).*/\1/p" "$1" | head -n 1; }
word() { sed -n "s/.*\"$2\":\"\([0-9a-f]*\)\".*/\1/p" "$1" | head -n 1; }
# snapshot ROLE ARGUMENTS…: the id of what restic has made goes into $id, its summary into a file.
snapshot() {
  role=$1
  shift
  for try in first second; do
    rm -f "$t/$role.summary"
    perl "$t/watcher.pl" ${progress} "$role" "$t/$role.errors" ${limits.lockSeconds + OPEN_SECONDS} ${limits.silentSeconds} ${cached} backup \
      --host ${site} --tag ${`chom,operation=${operation},role=`}"$role" "$@" >"$t/$role.summary"
    code=$?
    go_on
    # Somebody's lock, for longer than it was waited for: taken away where its owner is dead, and only then.
    if [ "$code" -ne 11 ] || [ "$try" = second ]; then break; fi
    unlock
  done
  id=$(word "$t/$role.summary" snapshot_id)
  case $code in 0 | 3) [ "\${#id}" -eq 64 ] || fail 'restic says nothing of a snapshot' 1 ;; esac
}
# What restic says of it, for the manifest.
sizes() { printf '"newBytes":%s,"storedBytes":%s' "$(field "$t/$1.summary" data_added)" "$(field "$t/$1.summary" data_added_packed)"; }
reading_back() { printf '{"phase":"reading-back","done":0,"files":0,"totalFiles":0,"bytes":0,"totalBytes":0,"at":%s}\n' "$(date +%s)" >${progress}; }
# read_database ID SHA256
read_database() {
  reading_back
  read_hash=$(back dump "$1" /database.sql | sha256sum)
  was_read
  [ "\${read_hash%% *}" = "$2" ]
}
# count_files ID: prints what the snapshot holds.
count_files() {
  reading_back
  counted=$(back ls "$1" | perl "$t/count.pl" ${files?.directories ?? []})
  lacks=$?
  was_read
  [ "$lacks" -eq 0 ]
}
save_database() {
  snapshot database --stdin-filename database.sql --stdin-from-command -- \
    perl "$t/checker.pl" ${site} "$t/dump" ${limits.lockSeconds} ${limits.silentSeconds}
  if [ "$code" -ne 0 ]; then
    if [ -s "$t/dump/failed" ]; then
      { read -r code && read -r text; } <"$t/dump/failed"
      fail "$text" "$code"
    fi
    gave_up "$code"
  fi
  { [ -s "$t/dump/dump" ] && read -r dump; } <"$t/dump/dump" || fail 'nothing is known of the dump' ${EXIT.dumpFailed}
  database=$id
  sha=$(word "$t/dump/dump" sha256)
  dumped_at=$(field "$t/dump/dump" startedAt)
  read_database "$database" "$sha" || fail 'the dump that was written is not what is read back' ${EXIT.notReadBack}
}
save_files() {
  for place in ${files?.directories ?? []}; do
    [ -d "$place" ] || fail "the directory $place is missing" ${EXIT.broken}
  done
  began=$(date +%s)
  snapshot files --exclude-caches ${(files?.excluded ?? []).map((pattern) => `--exclude=${pattern}`)} -- ${files?.directories ?? []}
  case $code in 0 | 3) ;; *) gave_up "$code" ;; esac
  ended=$(date +%s)
  saved=$id
  count_files "$saved" || fail 'the files that were written cannot be read back' ${EXIT.notReadBack}
  case $counted in
    "\"files\":$(field "$t/files.summary" total_files_processed),"*",\"bytes\":$(field "$t/files.summary" total_bytes_processed)") ;;
    *) fail 'the files that were written are not those that are read back' ${EXIT.notReadBack} ;;
  esac
}
# Of the manifest the long part, tables and the like, comes last.
write_manifest() {
  {
    printf '%s\n' ${head}
    if [ -n "$database" ]; then
      printf ',"database":{"snapshot":"%s",%s,%s\n' "$database" "$(sizes database)" "\${dump#?}"
    else echo ',"database":null'
    fi
    if [ -n "$saved" ]; then
      printf ',"files":{"snapshot":"%s","startedAt":%s,"endedAt":%s,%s,%s,"unreadable":%s}\n' "$saved" "$began" "$ended" \
        "$(sizes files)" "$counted" "$(cat "$t/files.errors")"
    else echo ',"files":null'
    fi
    if [ -n "$database" ] && [ -n "$saved" ]; then echo ",\"apartSeconds\":$((ended - dumped_at))"
    else echo ',"apartSeconds":null'
    fi
    echo ",\"madeAt\":$(date +%s)"
    if [ -n "$database" ]; then
      printf ',"contents":'
      sed 1d "$t/dump/dump"
    else echo ',"contents":null'
    fi
    echo '}'
  } >"$t/manifest.json"
}
# report ID NEW_BYTES STORED_BYTES: all that is said of a backup, from its manifest.
report() {
  hash=$(sha256sum <"$t/manifest.json")
  printf '{"manifest":'
  sed '/^,"contents":/,$d' "$t/manifest.json"
  printf '},"manifestSnapshot":{"id":"%s","sha256":"%s","bytes":%s,"newBytes":%s,"storedBytes":%s},"snapshots":[' \
    "$1" "\${hash%% *}" "$(stat -c %s "$t/manifest.json")" "$2" "$3"
  comma=
  for one in $(cut -d ' ' -f 1 "$t/list" 2>/dev/null); do
    printf '%s"%s"' "$comma" "$one"
    comma=,
  done
  echo ']}'
}
# All snapshots of this operation.
list() { small --no-lock snapshots --tag ${`chom,operation=${operation}`} >"$t/snapshots" && perl "$t/list.pl" <"$t/snapshots" >"$t/list"; }
find_again() {
  list || exit 1
  found=$(awk '$2 == "manifest"' "$t/list" | tail -n 1)
  [ -n "$found" ] || exit 1
  set -- $found
  back dump "$1" /manifest.json >"$t/manifest.json"
  was_read
  grep '^,"database":' "$t/manifest.json" >"$t/database" && grep '^,"files":' "$t/manifest.json" >"$t/files" || exit 1
  if [ "$(cat "$t/database")" != ',"database":null' ]; then
    read_database "$(word "$t/database" snapshot)" "$(word "$t/database" sha256)" || exit 1
  fi
  if [ "$(cat "$t/files")" != ',"files":null' ]; then
    count_files "$(word "$t/files" snapshot)" && grep -qF ",$counted," "$t/files" || exit 1
  fi
  report "$1" "$3" "$4"
}
make_anew() {
  again=
  [ "$(cat ${`${state}/begun`} 2>/dev/null)" != ${operation} ] || again=yes
  # One that came to nothing may have left its lock, for the storage was gone; only those of dead processes go.
  [ ! -e ${`${state}/running`} ] || unlock
  go_on
  : >${`${state}/running`} && echo ${operation} >${`${state}/begun`} && sync ${state} ${`${state}/begun`} ||
    fail ${`cannot write ${state}`} ${EXIT.diskFull}
  database= saved=
  ${database ? sh`save_database` : sh`:`}
  ${files === null ? sh`:` : sh`save_files`}
  write_manifest || fail 'the manifest cannot be written' ${EXIT.diskFull}
  snapshot manifest --stdin-filename manifest.json --stdin <"$t/manifest.json"
  [ "$code" -eq 0 ] || gave_up "$code"
  reading_back
  read_hash=$(back dump "$id" /manifest.json | sha256sum)
  was_read
  [ "$read_hash" = "$(sha256sum <"$t/manifest.json")" ] ||
    fail 'the manifest that was written is not what is read back' ${EXIT.notReadBack}
  manifest=$id
  if [ -n "$again" ]; then list || gave_up $?; fi
  go_on
  rm -f ${`${state}/running`}
  report "$manifest" "$(field "$t/manifest.summary" data_added)" "$(field "$t/manifest.summary" data_added_packed)"
}`;
  return { functions };
}
