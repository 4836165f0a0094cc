import { failure } from '../workflows/failures.js';
import { CLAIMS } from './claim.js';
import type { Connection } from './connection.js';
import { sh } from './shell.js';
import { askNextUid } from './uids.js';

/** What a server knows, and whoever takes it over has to. */
export interface Known {
  claims: KnownClaim[];
  /** Below it a site may have had every uid. */
  nextUid: number;
}

/** A claim as a server knows it. */
export interface KnownClaim {
  /** `site/<id>` or `server`. */
  scope: string;
  epoch: number;
}

const LOCK_SECONDS = 30;
const BUSY = 3;

/** See `Host.adopt`. Under the server's lock, exclusively: no change of whoever held it so far is under way. */
export async function adopt(connection: Connection, controller: string, signal?: AbortSignal): Promise<Known> {
  const server = connection.login.name;
  const script = sh`umask 077
[ -d ${CLAIMS} ] || { ${askNextUid()}; exit 0; }
cd ${CLAIMS}
exec 7>>server.lock 6<.
flock -x -w ${LOCK_SECONDS} 7 || exit ${BUSY}
flock 6
${askNextUid()} || exit 1
for file in server site-*; do
  case $file in *.lock | *.new) continue ;; esac
  [ -f "$file" ] || continue
  { read -r held; read -r epoch root; } <"$file" || continue
  printf '%s\n' ${controller} "$epoch $root" >"$file.new" && sync "$file.new" && mv -fT "$file.new" "$file" || exit 1
  printf '%s %s\n' "$file" "$epoch"
done
sync .`;
  const { exit, stdout, stderr } = await connection.run({ script, limitSeconds: 120, ...(signal && { signal }) });
  if (exit === BUSY) {
    throw failure('Busy', `Somebody is at work on ${server}`, {
      server,
      cause: 'A job of the installation that it belonged to still runs',
      next: `systemctl status 'chom-*' (on ${server})`,
    });
  }
  if (exit !== 0) {
    throw failure('CommandFailed', `The claims on ${server} could not be taken over`, {
      server,
      output: stderr.toString().slice(-500),
      next: `ls -l ${CLAIMS} (on ${server})`,
    });
  }
  return parse(stdout.toString());
}

function parse(text: string): Known {
  const [nextUid, ...lines] = text.split('\n').filter((line) => line !== '');
  const claims = lines.map((line) => {
    const [file = '', epoch = ''] = line.split(' ');
    return { scope: file.replace('-', '/'), epoch: Number(epoch) };
  });
  return { claims, nextUid: Number(nextUid) };
}
