import { failure } from '../workflows/failures.js';
import type { Amount } from '../workflows/progress.js';
import type { Reach } from './reach.js';
import { join, sh, type Script } from './shell.js';

/** A snapshot as it lies in a repository. */
export interface ListedSnapshot {
  /** restic's full id. */
  id: string;
  /** By the clock of whoever made it. */
  time: string;
  /** The operation that its tags name. */
  operation: string | null;
}

/** What `listRepository` tells: so many of all the snapshots that there are, by id, and what all files take up. */
export interface Listing {
  total: number;
  bytes: number;
  snapshots: ListedSnapshot[];
}

/** A change as a job runs it, with the secrets of its reach. */
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
export function listRepository(reach: Reach, from = 0): Script {
  return reach.reading(sh`all=$(restic --no-lock snapshots) || exit $?
echo "bytes=$(bytes)"
printf '%s' "$all" | perl -e ${LIST} ${from} ${LISTED_AT_ONCE}`);
}

/** How far a prune is by the last that it said, of the step of it that it is at; null: it did not say. */
export function parseProgress(text: string): Amount | null {
  const last = [...text.matchAll(/([0-9.]+)%\s+\d+ \/ \d+ ([a-z ]+)/g)].at(-1);
  if (!last) return null;
  const [, percent = '0', phase = ''] = last;
  return { phase: phase.trim(), done: Math.min(1, Number(percent) / 100), files: 0, bytes: 0, totalBytes: 0 };
}

/** @throws CommandFailed it is not what listRepository prints */
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
export function forgetSnapshots({ changing }: Reach, ids: readonly string[]): Maintenance {
  const wrong = ids.find((id) => !/^[0-9a-f]{64}$/.test(id));
  if (wrong !== undefined || ids.length === 0) throw failure('Bug', `${wrong} is no snapshot`);
  const left = sh`left=$(restic --no-lock snapshots | grep -o '"id":"[0-9a-f]\{64\}"' | cut -d '"' -f 4 | grep -Fx ${ids.flatMap((id) => ['-e', id])})`;
  return {
    check: changing(join([sh`restic --no-lock snapshots >/dev/null || exit 1`, left, sh`[ -z "$left" ]`])),
    act: changing(
      join([unlock(), left, sh`[ -z "$left" ] || restic --retry-lock ${`${LOCK_SECONDS}s`} forget $left >&2`]),
    ),
    properties: PROPERTIES,
  };
}

/** Has restic give back what no snapshot needs: all of it, or as much as it finds worth the writing. Exit codes of restic. */
export function pruneRepository({ changing }: Reach, { all }: { all: boolean }): Maintenance {
  const unused = all ? ['--max-unused', '0'] : [];
  return {
    act: changing(join([unlock(), sh`restic --retry-lock ${`${LOCK_SECONDS}s`} prune ${unused} >&2`])),
    properties: PROPERTIES,
  };
}

/**
 * Looks through a repository: its structure, and of its data what `readData` names, as restic takes it (`2/4`, `100%`).
 * Locks nothing. Exit codes of restic; 124: it took longer than it may.
 */
export function checkRepository(
  { reading }: Reach,
  { readData, limitSeconds }: { readData: string | null; limitSeconds: number },
): Script {
  const subset = readData === null ? [] : [`--read-data-subset=${readData}`];
  return reading(sh`limit=${`timeout --signal=INT --kill-after=10 ${limitSeconds}`}
restic --no-lock check ${subset}`);
}

/** Of dead processes alone: of another machine's when it has not renewed its lock for half an hour. */
function unlock(): Script {
  return sh`restic unlock >&2 || exit $?`;
}
