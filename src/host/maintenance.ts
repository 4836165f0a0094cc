import { failure } from '../workflows/failures.js';
import { paths } from './paths.js';
import { join, sh, type Script } from './shell.js';
import { asOwner } from './storage-host.js';

/** A repository where its files lie: the storage's directory, and by what it goes there. */
export interface OnDisk {
  path: string;
  name: string;
}

/** A snapshot as it lies in a repository. */
export interface ListedSnapshot {
  /** restic's full id. */
  id: string;
  /** By the clock of whoever made it. */
  time: string;
  /** The operation that its tags name. */
  operation: string | null;
}

/** What `listOnDisk` tells: so many of all the snapshots that there are, by id, and what all files take up. */
export interface Listing {
  total: number;
  bytes: number;
  snapshots: ListedSnapshot[];
}

/** A change as a job runs it, with the password of the repository as the credential `password`. */
export interface Maintenance {
  check?: Script;
  act: Script;
  properties: readonly string[];
}

/** So many lines are less than what is kept of a program's output. */
const LISTED_AT_ONCE = 300;

/** At which restic takes its lock away. */
const PROPERTIES = ['KillSignal=SIGINT', 'Nice=10', 'IOSchedulingPriority=7'];
/** How long a lock is waited for that is no dead process's. */
const LOCK_SECONDS = 60;

/** `"id":"` occurs nowhere else: in what somebody wrote the quotes are escaped. */
const LIST = String.raw`
use strict; use warnings;
my ($from, $most) = @ARGV;
local $/; my $all = <STDIN>;
my %line;
while ($all =~ /\{"time":"([^"\s]*)"(.*?)"id":"([0-9a-f]{64})"/gs) {
  my ($time, $between, $id) = ($1, $2, $3);
  my ($tags) = $between =~ /"tags":\[([^\]]*)\]/;
  my ($operation) = ($tags // '') =~ /"operation=([A-Za-z0-9\/-]+)"/;
  $line{$id} = join ' ', $id, $time, $operation // '';
}
my @ids = sort keys %line;
print "total=", scalar(@ids), "\n";
print map { "$line{$_}\n" } grep { defined } @ids[$from .. $from + $most - 1];
`;

/** Prints what `parseListing` reads, from the nth snapshot on. Locks and changes nothing. Exit codes of restic. */
export function listOnDisk(at: OnDisk, password: Buffer, from = 0): Script {
  return sh`printf '%s\n' ${password} | {
${asOwner(
  directoryOf(at),
  sh`${begin()}
all=$(restic --no-lock snapshots) || exit $?
echo "bytes=$(du -sb . | cut -f 1)"
printf '%s' "$all" | perl -e ${LIST} ${from} ${LISTED_AT_ONCE}`,
)}
}`;
}

/** @throws CommandFailed it is not what listOnDisk prints */
export function parseListing(output: string): Listing {
  const number = (name: string) => Number(new RegExp(String.raw`^${name}=(\d+)$`, 'm').exec(output)?.[1] ?? NaN);
  const [total, bytes] = [number('total'), number('bytes')];
  if (!Number.isSafeInteger(total) || !Number.isSafeInteger(bytes)) {
    throw failure('CommandFailed', 'The list of what lies in the repository cannot be read', {
      cause: 'restic wrote something else',
    });
  }
  const lines = [...output.matchAll(/^([0-9a-f]{64}) (\S*) (\S*)$/gm)];
  const snapshots = lines.map(([, id = '', time = '', operation]) => ({ id, time, operation: operation || null }));
  return { total, bytes, snapshots };
}

/** Has restic forget these snapshots, by their full ids; what is gone already is passed over. Exit codes of restic. */
export function forgetOnDisk(at: OnDisk, ids: readonly string[]): Maintenance {
  const wrong = ids.find((id) => !/^[0-9a-f]{64}$/.test(id));
  if (wrong !== undefined || ids.length === 0) throw failure('Bug', `${wrong} is no snapshot`);
  const left = sh`left=$(restic --no-lock snapshots | grep -o '"id":"[0-9a-f]\{64\}"' | cut -d '"' -f 4 | grep -Fx ${ids.flatMap((id) => ['-e', id])})`;
  return {
    check: withPassword(
      at,
      join([begin(), sh`restic --no-lock snapshots >/dev/null || exit 1`, left, sh`[ -z "$left" ]`]),
    ),
    act: withPassword(
      at,
      join([begin(), unlock(), left, sh`[ -z "$left" ] || restic --retry-lock ${`${LOCK_SECONDS}s`} forget $left >&2`]),
    ),
    properties: PROPERTIES,
  };
}

/** Has restic give back what no snapshot needs: all of it, or as much as it finds worth the writing. Exit codes of restic. */
export function pruneOnDisk(at: OnDisk, { all }: { all: boolean }): Maintenance {
  const unused = all ? ['--max-unused', '0'] : [];
  return {
    act: withPassword(at, join([begin(), unlock(), sh`restic --retry-lock ${`${LOCK_SECONDS}s`} prune ${unused} >&2`])),
    properties: PROPERTIES,
  };
}

/** Of dead processes alone: of another machine's when it has not renewed its lock for half an hour. */
function unlock(): Script {
  return sh`restic unlock >&2 || exit $?`;
}

/** A shell's own printf gives restic the password: no argument, no environment, and no file that its user may not read. */
function begin(): Script {
  return sh`IFS= read -r password || [ -n "$password" ] || exit 1
restic() { printf '%s\n' "$password" | ${paths.restic} --repo . --json --no-cache "$@"; }`;
}

function withPassword(at: OnDisk, script: Script): Script {
  return sh`${asOwner(directoryOf(at), script)} <"$CREDENTIALS_DIRECTORY/password"`;
}

function directoryOf({ path, name }: OnDisk): string {
  if (!/^[a-z0-9-]{1,40}$/.test(name)) throw failure('Bug', `${name} names no repository`);
  return `${path}/${name}`;
}
