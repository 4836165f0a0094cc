import { createHash } from 'node:crypto';
import { claimFunctions } from './claim.js';
import type { Job } from './host.js';
import { PATH } from './remote-shell.js';
import { sh, type Script } from './shell.js';

/** Where a job lives on its host. All names are made of hex digits: they need no quoting and cannot climb. */
export interface JobPlace {
  /** Named by root operation, operation and step: a second start of a loaded unit is refused by systemd. */
  unit: string;
  /** All units of a root operation and its children. */
  slice: string;
  /** `/var/lib/chom/jobs/<unit>`, with the name of the attempt that was started last in `current`. */
  directory: string;
  /** Hash of the attempt; its record is `<directory>/<attempt>/`. */
  attempt: string;
  record: string;
  /** Root-only, on a tmpfs, gone when the job has ended. */
  secrets: string;
}

export const JOBS = '/var/lib/chom/jobs';

/** How long a unit may take to end after it was told to; then it is killed. */
const STOP_SECONDS = 20;
/** The writer of each stream keeps so many of its last bytes. */
const KEPT_BYTES = 65_536;

export function sliceOf(root: string): string {
  return `chom-${digest([root])}.slice`;
}

/** What an attempt's record is called. */
export function attemptOf(attempt: string): string {
  return digest([attempt]);
}

export function placeOf({
  claim,
  operation,
  step,
  attempt,
}: Pick<Job, 'claim' | 'operation' | 'step' | 'attempt'>): JobPlace {
  const unit = `chom-${digest([claim.root, operation, step])}`;
  const directory = `${JOBS}/${unit}`;
  const hash = attemptOf(attempt);
  return {
    unit,
    slice: sliceOf(claim.root),
    directory,
    attempt: hash,
    record: `${directory}/${hash}`,
    secrets: `/run/chom/secrets/${unit}`,
  };
}

/**
 * What the unit runs, as root: `main` does the job, `check` only asks whether it is already done, `post` is systemd's
 * ExecStopPost. The record's `exit` is written aside into a file that was allocated before the first effect, so that a
 * full disk cannot lose it, and renamed after fsync. Its first word:
 * `exited N [full]`, `already 0`, `timeout`, `killed WHY`, or why the claim was refused.
 * Descriptor 9 holds the record's lock, on which followers wait; 7 and 8 hold the claim. Whatever the job starts
 * inherits them, so that they are free only when all of it is gone.
 */
export function runner(job: Job, place: JobPlace): Script {
  const { record, directory, secrets } = place;
  const forget = Object.keys(job.secrets ?? {}).length > 0 ? sh`rm -rf ${secrets}` : sh`:`;
  const boxed = isBoxed(job);
  const check =
    job.check === undefined
      ? sh`:`
      : sh`${boxed ? inBox(job, place, 'check') : sh`/bin/sh "$r/check.sh"`} >"$r/stdout" 2>"$r/stderr" && { record already 0; exit 0; }`;
  return sh`PATH=${PATH} LC_ALL=C HOME=/root
export PATH LC_ALL HOME
umask 022
cd / || exit 1
r=${record}
record() {
  [ -e "$r/stdout" ] || : >"$r/stdout"
  [ -e "$r/stderr" ] || : >"$r/stderr"
  printf '%-60s\n' "$*" 1<>"$r/exit.new" && sync "$r/exit.new" "$r/stdout" "$r/stderr" && mv -fT "$r/exit.new" "$r/exit" && sync "$r"
}
if [ "$1" = post ] || [ "$1" = post-check ]; then
  ${boxed ? sh`systemctl stop ${`${place.unit}-act.service`} 2>/dev/null` : sh`:`}
  ${forget}
  if [ "$1" = post ] && [ ! -e "$r/exit" ]; then
    if [ "$SERVICE_RESULT" = timeout ]; then record timeout
    elif [ -e "$r/started" ]; then record killed "$SERVICE_RESULT" "$EXIT_STATUS"
    fi
  fi
  ${prune()}
  exit 0
fi
${claimFunctions(job.claim)}
exec 9<>"$r/lock"
flock 9
: >"$r/held.$1"
hold_claim
if [ "$claim" != ok ]; then
  # Where it was begun before, the outcome stays unknown.
  [ "$1" != main ] || record "$claim" "$holder"
  exit 0
fi
${boxed ? sh`:` : forget}
${check}
[ "$1" = main ] || exit 0
[ -p "$r/out" ] || mkfifo "$r/out" "$r/err" || exit 1
printf '%-60s\n' unknown >"$r/exit.new" && : >"$r/started" || exit 1
sync "$r/exit.new" "$r/started" "$r" ${[directory, `${directory}/current`, JOBS]} || exit 1
# A job that is stopped says why at its end: the writers live until it has closed its streams.
(trap '' TERM; exec tail -c ${KEPT_BYTES} <"$r/out" >"$r/stdout") &
one=$!
(trap '' TERM; exec tail -c ${KEPT_BYTES} <"$r/err" >"$r/stderr") &
two=$!
${boxed ? inBox(job, place, 'act') : sh`/bin/sh "$r/act.sh"`} >"$r/out" 2>"$r/err"
code=$?
full=
wait $one || full=full
wait $two || full=full
record exited $code $full
exit 0
`;
}

/** The command that starts the unit and returns at once; the shell's `$mode` is `main` or `check`. */
export function start(job: Job, place: JobPlace): Script {
  const run = `${place.record}/run`;
  const options = [
    `--unit=${place.unit}`,
    `--slice=${place.slice}`,
    // What an operator sees in `systemctl status` and the journal.
    `--description=chom ${job.operation} ${job.step}`,
    ...['Type=exec', `RuntimeMaxSec=${job.limitSeconds}`, `TimeoutStopSec=${STOP_SECONDS}`].map(
      (one) => `--property=${one}`,
    ),
    ...(isBoxed(job) ? [] : credentials(job, place)),
  ];
  return sh`case $mode in main) post=post ;; *) post=post-check ;; esac
systemd-run --quiet --no-block --collect ${options} --property=${`ExecStopPost=/bin/sh ${run} `}$post /bin/sh ${run} $mode`;
}

/** Whether the job has properties of its own: then it runs in a second unit inside the first, which keeps the record. */
function isBoxed({ properties = [] }: Job): boolean {
  return properties.length > 0;
}

/** What the site's own code could reach never sees the record, the claims or their locks. */
function inBox(job: Job, place: JobPlace, file: 'act' | 'check'): Script {
  const options = [
    `--unit=${place.unit}-act`,
    `--slice=${place.slice}`,
    `--property=BindsTo=${place.unit}.service`,
    // The outer unit's limit ends both; this is for the case that it could not.
    `--property=RuntimeMaxSec=${job.limitSeconds + 60}`,
    `--property=TimeoutStopSec=${STOP_SECONDS - 5}`,
    ...credentials(job, place),
    ...(job.properties ?? []).map((property) => `--property=${property}`),
  ];
  const shell = `s=$(cat); exec </dev/null; PATH=${PATH} LC_ALL=C; export PATH LC_ALL; eval "$s"`;
  return sh`systemd-run --quiet --wait --pipe --collect ${options} /bin/sh -c ${shell} <"$r"/${`${file}.sh`}`;
}

function credentials({ secrets = {} }: Job, place: JobPlace): string[] {
  return Object.keys(secrets).map((name) => `--property=LoadCredential=${name}:${place.secrets}/${name}`);
}

/** Records are kept for two weeks; looked through once a day, after a job, when nobody waits. */
function prune(): Script {
  return sh`if [ -z "$(find ${`${JOBS}/.pruned`} -mtime -1 2>/dev/null)" ]; then
    : >${`${JOBS}/.pruned`}
    find ${JOBS} -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm -rf {} +
  fi`;
}

function digest(names: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 20);
}
