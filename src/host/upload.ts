import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { failure } from '../workflows/failures.js';
import { claimFailure, claimFunctions, isClaimRefusal } from './claim.js';
import type { Connection } from './connection.js';
import { isDiskFull, tail } from './exit.js';
import type { Claim } from './host.js';
import { sh } from './shell.js';

export interface Upload {
  path: string;
  sha256: string;
  claim: Claim;
  content: AsyncIterable<Uint8Array>;
}

const LIMIT_SECONDS = 3_600;
const HASHED_ALREADY_SECONDS = 120;
const EXIT = { claim: 90, hash: 91 };

/**
 * Streams bytes into a root-owned 0600 file, under the claim. The file gets its name only after its hash was right and
 * it was fsynced; where it is there already, nothing is sent.
 * Failures: SourceRejected (other bytes than announced), DiskFull, StaleClaim, Busy, CommandFailed, those of a
 * connection, and what `content` throws.
 */
export async function upload(connection: Connection, file: Upload, signal?: AbortSignal): Promise<void> {
  const { path, sha256, claim, content } = file;
  const server = connection.login.name;
  const aborting = signal && { signal };
  const there = await connection.run({
    script: sh`[ -f ${path} ] && printf '%s  %s\n' ${sha256} ${path} | sha256sum -c --status`,
    limitSeconds: HASHED_ALREADY_SECONDS,
    ...aborting,
  });
  if (there.exit === 0) return;
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  const script = sh`umask 077
[ -d /var/lib/chom ] || mkdir -p -m 0711 /var/lib/chom
mkdir -p /var/lib/chom/claims ${dirname(path)} || exit 1
${claimFunctions(claim)}
ensure_claim
[ "$claim" != ok ] || hold_claim
if [ "$claim" != ok ]; then
  printf '%s %s\n' "$claim" "$holder"
  exit ${EXIT.claim}
fi
find ${dirname(path)} -maxdepth 1 -name '*.part' -mtime +1 -delete
part=${part}
trap 'rm -f "$part"' EXIT
trap 'exit 1' TERM
cat >"$part" || exit 1
printf '%s  %s\n' ${sha256} ${part} | sha256sum -c --status || exit ${EXIT.hash}
sync "$part" && mv -fT "$part" ${path} && sync ${dirname(path)} || exit 1`;
  const result = await connection.runLong({ script, input: content, limitSeconds: LIMIT_SECONDS, ...aborting });
  if (result.exit === 0) return;
  const stderr = result.stderr.toString();
  if (result.exit === EXIT.claim) {
    const [word = '', holder = ''] = result.stdout.toString().trim().split(' ');
    if (isClaimRefusal(word)) throw claimFailure(word, holder, server, claim);
  }
  const details = { server, output: tail(stderr) };
  if (result.exit === EXIT.hash) {
    const what = `What arrived on ${server} as ${path} is not what was announced`;
    throw failure('SourceRejected', what, {
      ...details,
      cause: 'The source changed while it was read, or it was cut short',
    });
  }
  if (isDiskFull(stderr) || result.exit === EXIT.claim) {
    throw failure('DiskFull', `${path} does not fit on ${server}`, { ...details, next: `df -h (on ${server})` });
  }
  throw failure('CommandFailed', `${path} could not be written on ${server}`, {
    ...details,
    cause: `Exit code ${result.exit}`,
  });
}
