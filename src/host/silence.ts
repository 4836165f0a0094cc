import { failure } from '../workflows/failures.js';
import { claimFailure, claimFunctions, isClaimRefusal, lockOf } from './claim.js';
import type { Connection } from './connection.js';
import type { Claim } from './host.js';
import { stopSlice } from './job-start.js';
import { sliceOf } from './job-unit.js';
import { sh } from './shell.js';

const LIMIT_SECONDS = 300;
/** An upload under way holds the lock without being a unit: it ends with its connection. */
const LOCK_SECONDS = 60;

/** See `Host.silence`. The claim comes first: whatever starts after it is refused, whatever started before is stopped. */
export async function silence(connection: Connection, claim: Claim, signal?: AbortSignal): Promise<void> {
  const server = connection.login.name;
  const script = sh`umask 077
[ -d /var/lib/chom ] || mkdir -p -m 0711 /var/lib/chom
mkdir -p /var/lib/chom/claims
${claimFunctions(claim)}
ensure_claim
if [ "$claim" = ok ]; then
  ( ${stopSlice(sliceOf(claim.root))} ) || claim=unstoppable
fi
if [ "$claim" = ok ]; then
  exec 7>>${lockOf(claim)}
  flock -x -w ${LOCK_SECONDS} 7 || claim=unstoppable
fi
printf '%s %s\n' "$claim" "$holder"`;
  const { stdout } = await connection.run({ script, limitSeconds: LIMIT_SECONDS, ...(signal && { signal }) });
  const [state = '', holder = ''] = stdout.toString().trim().split(' ');
  if (state === 'ok') return;
  if (isClaimRefusal(state)) throw claimFailure(state, holder, server, claim);
  throw failure('CommandFailed', `Not every process of operation ${claim.root} could be stopped on ${server}`, {
    server,
    cause: 'A program hangs in the kernel, an upload does not end, or the disk is full',
    next: `systemctl status 'chom-*' (on ${server})`,
  });
}
