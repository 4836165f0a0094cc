import { removeKeys } from './authorized-keys.js';
import { claimFailure, claimFunctions, CLAIMS, isClaimRefusal } from './claim.js';
import type { Connection } from './connection.js';
import { expectOk } from './exit.js';
import type { Claim } from './host.js';
import { paths } from './paths.js';
import { nginx } from './nginx-site.js';
import { publish } from './publish.js';
import { join, sh, type Script } from './shell.js';

/** Prints the ids of sites of which something is left on the server. */
export function sitesLeft(): Script {
  return sh`find ${paths.sites} -maxdepth 1 -type f ! -name '*.*' -printf '%f\n' 2>/dev/null | sort`;
}

/**
 * Takes CHOM out of nginx, which goes on with what else it serves. The distribution's welcome site, which made room at
 * enrolment, comes back where nginx still likes it. Exit codes of `publish`.
 */
export function withdrawNginx(): { check: Script; act: Script } {
  const { act, check } = publish({
    ...nginx([]),
    changes: [
      // First: it is what makes nginx read the others.
      { path: 'conf.d/chom.conf', text: null },
      { path: 'chom.d/000-default.conf', text: null },
      { path: 'chom.d/headers.inc', text: null },
    ],
    // Whoever stopped it meanwhile had a reason.
    apply: sh`if systemctl -q is-active nginx; then
  ${nginx([]).apply}
fi`,
    served: sh`! curl -s --noproxy '*' --max-time 3 http://127.0.0.1/.well-known/chom-default | grep -qx '[0-9a-f]\{32\}'`,
    after: sh`stock=sites-enabled/default
if [ -L "$kept/$stock" ] && [ ! -e "$tree/$stock" ] && [ ! -L "$tree/$stock" ]; then
  cp -a "$kept/$stock" "$tree/$stock"
  if try >/dev/null 2>&1; then apply >&2; else rm -f "$tree/$stock"; fi
fi
rm -rf /etc/nginx/chom.d /var/log/nginx/chom`,
  });
  return {
    check: join([sh`[ ! -e /etc/nginx/chom.d ] && [ ! -e /var/log/nginx/chom ] || exit 1`, check]),
    act: orJustForget(
      '/usr/sbin/nginx',
      ['/etc/nginx/chom.d', '/etc/nginx/conf.d/chom.conf', '/var/log/nginx/chom'],
      act,
    ),
  };
}

/** Takes CHOM's settings out of MariaDB, which restarts where it runs. Exit codes of `publish`. */
export function withdrawMariadb(): { check: Script; act: Script } {
  const { check, act } = publish({
    service: 'mariadb',
    lock: 'mariadb',
    tree: paths.mariadb,
    changes: [{ path: 'mariadb.conf.d/60-chom.cnf', text: null }],
    test: sh`mariadbd --verbose --help 2>&1 >/dev/null`,
    apply: sh`if systemctl -q is-active mariadb; then systemctl restart mariadb; fi`,
    served: sh`:`,
    // As they were; the next boot opens them.
    after: sh`if [ -s ${paths.mariadbSockets} ]; then
  systemctl enable --quiet $(sort -u ${paths.mariadbSockets}) && rm ${paths.mariadbSockets} || exit 1
fi`,
  });
  const unasked = join([check, sh`[ ! -e ${paths.mariadbSockets} ]`]);
  return {
    check: unasked,
    act: orJustForget('/usr/sbin/mariadbd', [`${paths.mariadb}/mariadb.conf.d/60-chom.cnf`], act),
  };
}

/** Who CHOM is on a server. */
export interface Self {
  user: string;
  /** The lines of CHOM's keys: the current one, and those that it replaced and that may still get in. */
  keys: readonly string[];
}

const LIMIT_SECONDS = 120;
const REFUSED = 3;

/**
 * See `Host.leave`. It is no job, for a job's record is among what goes; the claim is compared all the same, and its
 * lock held until the last process of this has ended.
 */
export async function leave(
  connection: Connection,
  claim: Claim,
  self: Self,
  signal?: AbortSignal,
): Promise<{ left: string[] }> {
  const server = connection.login.name;
  const options = { limitSeconds: LIMIT_SECONDS, ...(signal && { signal }) };
  const { exit, stdout, stderr, milliseconds } = await connection.run({ script: leaving(claim, self), ...options });
  const lines = stdout.toString().split('\n').filter(Boolean);
  if (exit === REFUSED) {
    const [state = '', holder = ''] = lines.at(-1)?.split(' ') ?? [];
    if (isClaimRefusal(state)) throw claimFailure(state, holder, server, claim);
  }
  const output = { exit, stdout: stdout.toString(), stderr: stderr.toString(), already: false, milliseconds };
  expectOk(output, { name: server }, 'Leaving');
  return { left: lines };
}

/**
 * CHOM's units and files go, then its keys. Done again it finds less to do. Prints what it does not take away because it
 * is not empty; where the claim is refused (exit code `REFUSED`), how and who holds it.
 */
export function leaving(claim: Claim, { user, keys }: Self): Script {
  return sh`export LC_ALL=C
# Without claims an earlier try came this far, and nobody else has been here since.
if [ -d ${CLAIMS} ]; then
  ${claimFunctions(claim)}
  ensure_claim
  [ "$claim" != ok ] || hold_claim
  if [ "$claim" != ok ]; then
    printf '%s %s\n' "$claim" "$holder"
    exit ${REFUSED}
  fi
fi
systemctl stop 'chom-*.timer' 'chom-*.service' chom.slice 2>/dev/null
for unit in /etc/systemd/system/chom-*; do
  case $unit in *.d | *'*') ;; *) systemctl -q disable "$(basename "$unit")" 2>/dev/null ;; esac
  rm -rf "$unit"
done
systemctl daemon-reload
systemctl reset-failed 'chom-*' 2>/dev/null
rm -rf /etc/ssh/sshd_config.d/chom-*.conf /etc/chom /run/chom /run/chom-php /var/cache/chom ${paths.lib} || exit 1
[ ! -d /srv/chom ] || rmdir /srv/chom 2>/dev/null || echo /srv/chom
rm -rf --one-file-system ${paths.state} || exit 1
${keys.length === 0 ? sh`:` : removeKeys(user, keys, null).act}`;
}

/** Where the program is gone its files mean nothing to anybody. */
function orJustForget(program: string, files: readonly string[], act: Script): Script {
  return sh`if [ ! -x ${program} ]; then
  rm -rf ${files}
  exit
fi
${act}`;
}
