import { claimFunctions } from './claim.js';
import type { Job } from './host.js';
import { JOBS, runner, start, type JobPlace } from './job-unit.js';
import { bytesTo, join, sh, type Script } from './shell.js';

/** How long a follower gives another starter of the same job. */
const STARTER_SECONDS = 120;

/**
 * Starts the job or follows it, to its end, in one round trip. Under the unit's own lock, in this order: this attempt's
 * finished record is the result → an attempt that was stopped or replaced ends here → the claim → this attempt's live
 * unit is followed → another attempt's is stopped, and its end waited for → what began and has no end is only asked
 * whether it is done → start. The first line of stdout says how it ended (`readEnd` knows the words), the job's own
 * output follows.
 */
export function startOrFollow(job: Job, place: JobPlace): Script {
  const { directory, record, attempt } = place;
  return sh`${functions(place)}
${claimFunctions(job.claim)}
finish() {
  printf '%s\n' "$*"
  [ ! -s ${record}/stdout ] || cat ${record}/stdout
  [ ! -s ${record}/stderr ] || cat ${record}/stderr >&2
  exit 0
}
# Waits without asking again and again: the unit holds the lock as long as it works. It takes it some milliseconds
# after its start, so a free lock alone says nothing; its record does, and systemd where there is none.
follow() {
  exec 9>&- 5<${record}/lock
  n=0
  while [ ! -e ${record}/held."$mode" ] && [ $n -lt 60 ]; do n=$((n + 1)); sleep 0.005; done
  while :; do
    flock -s 5
    how=
    [ ! -e ${record}/exit ] || read -r how rest <${record}/exit
    case $mode:$how in main:killed) ;; main:?* | check:already) break ;; esac
    # The attempt that took over runs in a unit of the same name: that one is not waited for.
    [ ! -e ${record}/replaced ] || break
    live ${place.unit} || break
    flock -u 5
    sleep 0.02
  done
  exec 5<&-
  case $how in '' | killed) ;; *) finish "$how" $rest ;; esac
}
prepare() {
  ${writeRecord(job, place)}
}
# The slice goes with its last unit, and while systemd stops it no other is let in: refused so, it is tried again.
start_unit() {
  n=0
  until said=$( { ${start(job, place)}; } 2>&1); do
    case $n:$said in [0-9]:*destructive* | [0-9][0-9]:*destructive*) ;; *) printf '%s\n' "$said" >&2; return 1 ;; esac
    n=$((n + 1))
    sleep 0.05
  done
}
[ -d ${record} ] && [ -d /var/lib/chom/claims ] || open_record || finish unwritable
for round in 1 2 3; do
  exec 9>>${directory}/lock
  flock -w ${STARTER_SECONDS} 9 || finish locked
  how= rest= now= mode=main
  [ ! -e ${record}/exit ] || read -r how rest <${record}/exit
  case $how in '' | killed) ;; *) finish "$how" $rest ;; esac
  [ ! -e ${record}/cancelled ] || finish cancelled
  [ ! -e ${record}/replaced ] || finish replaced
  ensure_claim
  [ "$claim" = ok ] || finish "$claim" "$holder"
  [ ! -s ${directory}/current ] || read -r now <${directory}/current
  if [ -n "$now" ] && live ${place.unit}; then
    if [ "$now" = ${attempt} ]; then
      follow
      continue
    fi
    stop_all ${place.unit} || finish unstoppable
  fi
  [ -z "$now" ] || [ "$now" = ${attempt} ] || : >${directory}/"$now"/replaced
  if [ -e ${record}/started ]; then
    ${job.check === undefined ? sh`finish interrupted $rest` : sh`mode=check`}
  fi
  prepare || { rm -rf ${place.secrets}; finish unwritable; }
  if ! start_unit; then
    rm -rf ${place.secrets}
    finish unstarted
  fi
  follow
  [ $mode = main ] || finish interrupted $rest
done
finish unstarted`;
}

/** Stops this attempt, and makes sure that a starter still on its way does not begin it. */
export function stopAttempt(place: JobPlace): Script {
  const { directory, record, attempt, unit } = place;
  return sh`${functions(place)}
[ -d ${record} ] || open_record || exit 1
exec 9>>${directory}/lock
flock -w ${STARTER_SECONDS} 9 || exit 1
: >${record}/cancelled || exit 1
now=
[ ! -s ${directory}/current ] || read -r now <${directory}/current
[ "$now" != ${attempt} ] || stop_all ${unit}`;
}

/** Stops all units of a slice; exit 0 once no process is left in it. */
export function stopSlice(slice: string): Script {
  return sh`${stopFunction()}
systemctl stop ${slice} 2>/dev/null
stop_all ${slice.replace(/\.slice$/, '')}`;
}

/** Stops all units of a slice but those that work for `attempt`; exit 0 once no process of them is left. */
export function stopOthers(slice: string, attempt: string): Script {
  return sh`${stopFunction()}
listed=$(systemctl list-units --all --plain --no-legend 'chom-*.service') || exit 1
for unit in $(printf '%s\n' "$listed" | sed 's/ .*//; s/[.]service$//; s/-act$//' | sort -u); do
  systemctl show -P Slice "$unit.service" "$unit-act.service" | grep -qxF ${slice} || continue
  now=
  [ ! -s ${JOBS}/"$unit"/current ] || read -r now <${JOBS}/"$unit"/current
  [ "$now" = ${attempt} ] || stop_all "$unit" || exit 1
done`;
}

function functions({ record }: JobPlace): Script {
  return sh`umask 077
open_record() {
  [ -d /var/lib/chom ] || mkdir -p -m 0711 /var/lib/chom
  mkdir -p ${record} /var/lib/chom/claims
}
# Not knowing is not an answer.
live() {
  state=$(systemctl show -P ActiveState "$1.service") && [ -n "$state" ] || finish broken
  case $state in active | activating | deactivating | reloading | refreshing) ;; *) return 1 ;; esac
}
${stopFunction()}`;
}

/** `stop_all PREFIX`: stops the units of that name and waits until their control groups hold no process. */
function stopFunction(): Script {
  return sh`processes() { find /sys/fs/cgroup -path "*/$1*" -name cgroup.procs -exec cat {} + 2>/dev/null; }
stop_all() {
  systemctl stop "$1.service" "$1-act.service" 2>/dev/null
  n=0
  while [ -n "$(processes "$1")" ]; do
    n=$((n + 1))
    [ $n -lt 300 ] || return 1
    sleep 0.1
  done
}`;
}

function writeRecord(job: Job, place: JobPlace): Script {
  const { record, directory, attempt, secrets } = place;
  const sealed = Object.entries(job.secrets ?? {});
  return join(
    [
      sh`printf %s ${runner(job, place).script} >${record}/run`,
      sh`printf %s ${job.act.script} >${record}/act.sh`,
      ...(job.check === undefined ? [] : [sh`printf %s ${job.check.script} >${record}/check.sh`]),
      sh`: >>${record}/lock`,
      ...(sealed.length === 0 ? [] : [sh`mkdir -p ${secrets}`]),
      ...sealed.map(([name, value]) => sh`${bytesTo(value)} >${secrets}/${name}`),
      sh`{ [ ! -e ${record}/held.main ] || rm -f ${record}/held.main ${record}/held.check; }`,
      sh`printf '%s\n' ${attempt} >${directory}/current`,
    ],
    ' && ',
  );
}
