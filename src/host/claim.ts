import { failure } from '../workflows/failures.js';
import type { Claim } from './host.js';
import { sh, type Script } from './shell.js';

/**
 * Who may change a site or a server, as the server itself knows it. `/var/lib/chom/claims/<scope>` holds the controller
 * on its first line and `<epoch> <root operation>` of the holder on the second. It is replaced by rename and fsynced.
 *
 * The inventory gives each holder of a scope a higher epoch than the one before, so the epoch of a scope only grows,
 * whatever order messages arrive in. A claim is
 * - refused when the file, or the server's own, names another controller;
 * - refused when its epoch is lower than the file's, or the same for another operation: it was settled, gave its
 *   place back, or belongs to an installation that works on an old copy of the inventory;
 * - taken at once when the scope is free, or when the holder itself raises its epoch;
 * - taken over from another operation under the exclusive lock: when none of its jobs runs.
 *
 * `<scope>.lock` is held shared by every change for its whole duration, and the holder compared under it. A change to a
 * site holds the server's lock shared as well; a change to the server holds it exclusively: it is alone.
 * The directory itself is the short lock around reading and writing claims.
 */
export const CLAIMS = '/var/lib/chom/claims';
const WAIT_SECONDS = 30;
/** What the claim's shell functions leave in `$claim`, with who it is in `$holder`. */
export type ClaimState = 'ok' | 'controller' | 'stale' | 'busy';

/** The file whose lock is held, shared, by every change under a claim. */
export function lockOf({ scope }: Pick<Claim, 'scope'>): string {
  return `${CLAIMS}/${scope.replace('/', '-')}.lock`;
}

/** Whether `kind` is the refusal of a claim. */
export function isClaimRefusal(kind: string): kind is Exclude<ClaimState, 'ok'> {
  return kind === 'controller' || kind === 'stale' || kind === 'busy';
}

/**
 * Shell functions `ensure_claim` and `hold_claim`; both set `$claim` (a ClaimState) and `$holder`. They use the
 * descriptors 6, 7 and 8; what `hold_claim` holds lasts until the last process that inherited 7 and 8 has ended.
 * InvalidInput where an id cannot be a line of the file.
 */
export function claimFunctions({ controller, scope, root, epoch }: Claim): Script {
  for (const id of [controller, root]) {
    if (!/^[\x21-\x7e]{1,300}$/.test(id)) throw failure('InvalidInput', `“${id}” cannot be part of a claim`);
  }
  if (!/^(server|site\/[a-z0-9]{1,32})$/.test(scope))
    throw failure('InvalidInput', `“${scope}” is no scope of a claim`);
  if (!Number.isSafeInteger(epoch) || epoch < 0) throw failure('InvalidInput', `${epoch} is no epoch`);
  const file = `${CLAIMS}/${scope.replace('/', '-')}`;
  const lock = lockOf({ scope });
  const server = `${CLAIMS}/server`;
  const holdScope =
    scope === 'server'
      ? sh`exec 7>>${lock}; flock -x -w ${WAIT_SECONDS} 7 || { claim=busy; read_claim ${server}; holder=$root; return; }`
      : sh`exec 7>>${`${server}.lock`}; flock -s -w ${WAIT_SECONDS} 7 || { claim=busy; read_claim ${server}; holder=$root; return; }
  exec 8>>${lock}; flock -s -w ${WAIT_SECONDS} 8 || { claim=busy; read_claim ${file}; holder=$root; return; }`;
  return sh`read_claim() {
  controller= epoch= root=
  [ ! -e "$1" ] || { read -r controller; read -r epoch root; } <"$1"
}
compare_claim() {
  read_claim ${server}
  holder=$controller claim=controller
  [ -z "$controller" ] || [ "$controller" = ${controller} ] || return
  read_claim ${file}
  holder=$controller claim=free
  [ -n "$controller" ] || return
  claim=controller
  [ "$controller" = ${controller} ] || return
  holder=$root claim=other
  if [ ${epoch} -lt "$epoch" ]; then claim=stale; return; fi
  if [ "$root" = ${root} ]; then
    if [ ${epoch} -eq "$epoch" ]; then claim=ok; else claim=raise; fi
  elif [ ${epoch} -eq "$epoch" ]; then
    claim=stale
  fi
}
write_claim() {
  printf '%s\n' ${controller} ${`${epoch} ${root}`} >${`${file}.new`} && sync ${`${file}.new`} &&
    mv -fT ${`${file}.new`} ${file} && sync ${CLAIMS} && claim=ok || claim=unwritable
}
ensure_claim() {
  compare_claim
  may=$claim
  case $claim in free | raise | other) ;; *) return ;; esac
  if [ "$claim" = other ]; then
    exec 7>>${lock}
    flock -x -w ${WAIT_SECONDS} 7 || { claim=busy; exec 7>&-; return; }
  fi
  exec 6<${CLAIMS}
  flock 6
  compare_claim
  case $claim in
    free | raise) write_claim ;;
    other) if [ "$may" = other ]; then write_claim; else claim=busy; fi ;;
  esac
  exec 6<&- 7>&-
}
hold_claim() {
  ${holdScope}
  compare_claim
  case $claim in free | raise | other) claim=stale ;; esac
}`;
}

/** Says why a claim was refused: StaleClaim, or Busy naming the operation in the way. */
export function claimFailure(kind: Exclude<ClaimState, 'ok'>, holder: string, server: string, claim: Claim): Error {
  const what = claim.scope === 'server' ? `server ${server}` : `${claim.scope} on ${server}`;
  if (kind === 'controller') {
    return failure('StaleClaim', `The ${what} belongs to another controller (${holder})`, {
      server,
      holder,
      cause: 'Another installation of CHOM has taken this server over, or this one works on a copy of its inventory',
      next: `work from the installation that ${server} belongs to, or take it over: chom server adopt ${server} --confirm ${server}`,
    });
  }
  if (kind === 'busy') {
    return failure('Busy', `The ${what} is being changed by operation ${holder}`, {
      server,
      holder,
      cause: 'A job of that operation still runs on the server',
      next: `chom op watch ${holder}`,
    });
  }
  const since = holder === claim.root ? 'a later run of it does' : `${holder} does`;
  return failure('StaleClaim', `This run of operation ${claim.root} does not hold the ${what}: ${since}`, {
    server,
    holder,
    cause: 'It was settled or overtaken while it could not be reached, or this inventory is an old copy',
    next: `chom op show ${holder}; where that is unknown here: chom server adopt ${server} --confirm ${server}`,
  });
}
