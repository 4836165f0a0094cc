import { EXIT } from './exit-codes.js';
import { reloadNginx } from './nginx-site.js';
import { paths } from './paths.js';
import { serviceLock } from './service-lock.js';
import { join, sh, type Script, writeFile } from './shell.js';

/** A key and certificate in the making: `candidate` names it below the site's directory, one per operation. */
export interface Candidate {
  site: string;
  /** `[A-Za-z0-9_-]+` */
  candidate: string;
}

/** A step on a host: `check` exits 0 when it is already so. */
export interface CheckedStep {
  check: Script;
  act: Script;
}

/** Where nginx reads a site's pair. Both are links through `current`, so that one rename changes both. */
export function pairPaths(site: string): { key: string; chain: string } {
  return { key: `${paths.tls(site)}/key.pem`, chain: `${paths.tls(site)}/fullchain.pem` };
}

/**
 * Makes a P-256 key (0600, root) and a request for `names` beside what the site serves. The key never leaves the server.
 * The subject stays empty: authorities read the alternative names alone, and a common name ends at 64 characters.
 */
export function makeRequest(at: Candidate, names: readonly string[]): CheckedStep {
  const next = nextPath(at);
  const alternativeNames = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`;
  return {
    check: sh`[ -s ${`${next}/key.pem`} ] && [ -s ${`${next}/request.pem`} ]`,
    act: sh`set -eu
umask 077
${directories(at.site)}
mkdir -p ${next}
cd ${next}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
openssl req -new -sha256 -key key.pem -subj / -addext ${alternativeNames} -out request.new
sync key.pem request.new
mv -fT request.new request.pem
sync .`,
  };
}

/** Prints the request that `makeRequest` made. */
export function readRequest(at: Candidate): Script {
  return sh`cat ${`${nextPath(at)}/request.pem`}`;
}

/**
 * Puts the chain to its key, sees that they belong together, makes the pair current by one rename, and lets nginx take
 * it where it already serves the one before. Where nginx refuses, the one before is current again. Exit codes: rejected
 * (the pair does not match, or nginx refuses it), broken, lockTimeout.
 */
export function installPair(at: Candidate, chain: string): CheckedStep {
  const { site, candidate } = at;
  const target = `pairs/${candidate}`;
  return {
    // The file goes last: it says that nginx was told.
    check: sh`[ "$(readlink ${`${paths.tls(site)}/current`})" = ${target} ] && [ -e ${`${paths.tls(site)}/${target}/told`} ]`,
    act: sh`set -eu
umask 077
export LC_ALL=C
${serviceLock('nginx')}
${directories(site)}
cd ${paths.tls(site)}
if [ ! -d ${target} ]; then
  cd ${`next/${candidate}`}
  printf %s ${chain} >fullchain.pem
  if [ "$(openssl x509 -in fullchain.pem -noout -pubkey)" != "$(openssl pkey -in key.pem -pubout)" ]; then
    echo 'the certificate was not issued for the key on this server' >&2
    exit ${EXIT.rejected}
  fi
  rm -f request.pem
  sync key.pem fullchain.pem .
  cd ../..
  mv -T ${`next/${candidate}`} ${target}
  sync pairs
fi
before=$(readlink current || :)
if [ "$before" != ${target} ]; then
  if [ -n "$before" ]; then ln -sfn "$before" previous; else rm -f previous; fi
  ${point(target)}
fi
[ "$(readlink key.pem || :)" = current/key.pem ] || ln -sfn current/key.pem key.pem
[ "$(readlink fullchain.pem || :)" = current/fullchain.pem ] || ln -sfn current/fullchain.pem fullchain.pem
sync .
if [ -L previous ]; then
  if ! nginx -t 2>said; then
    cat said >&2
    ${point(sh`"$(readlink previous)"`)}
    if nginx -t 2>/dev/null; then
      echo 'nginx refuses the new certificate; the one before stays' >&2
      exit ${EXIT.rejected}
    fi
    echo 'the configuration of nginx was broken before this change; the certificate before stays' >&2
    exit ${EXIT.broken}
  fi
  ${reload()}
fi
rm -f said
: >${`${target}/told`}
sync ${target}
# No more is kept than the pair in use and the one before.
for pair in pairs/*; do
  if [ "$pair" != "$(readlink current)" ] && [ "$pair" != "$(readlink previous || :)" ]; then rm -rf "$pair"; fi
done`,
  };
}

/** Exit 0 when key and certificate are there and belong together. */
export function pairStands(site: string): Script {
  const { key, chain } = pairPaths(site);
  return sh`wanted=$(openssl pkey -in ${key} -pubout 2>/dev/null) && [ "$(openssl x509 -in ${chain} -noout -pubkey 2>/dev/null)" = "$wanted" ]`;
}

/** Prints `yes` when another pair was in use before the current one: going back means going back to that one. */
export function hasPrevious(site: string): Script {
  return sh`if [ -L ${`${paths.tls(site)}/previous`} ]; then echo yes; else echo no; fi`;
}

/**
 * Forgets a candidate wherever it has come to: the pair before it is current again, and nginx takes it. Where there was
 * none before, the site's file must not need the pair any more: nginx does not start without it. Exit codes: conflict.
 */
export function discardPair({ site, candidate }: Candidate): Script {
  const target = `pairs/${candidate}`;
  return sh`set -eu
umask 077
export LC_ALL=C
[ -d ${paths.tls(site)} ] || exit 0
cd ${paths.tls(site)}
rm -rf ${`next/${candidate}`}
if [ "$(readlink current || :)" = ${target} ]; then
  ${serviceLock('nginx')}
  if [ -L previous ]; then
    ${point(sh`"$(readlink previous)"`)}
    rm -f previous
    nginx -t
    ${reload()}
  elif grep -qs ${paths.tls(site)} ${`${paths.nginx}/chom.d/${site}.conf`}; then
    echo 'the nginx file of the site still needs the certificate, so it stays' >&2
    exit ${EXIT.conflict}
  else
    rm -f key.pem fullchain.pem current
  fi
fi
rm -rf ${target}
sync .`;
}

/** A challenge file: what is served under `/.well-known/acme-challenge/<token>`. */
export interface ChallengeFile {
  /** `[A-Za-z0-9_-]+` (RFC 8555 §8.3). */
  token: string;
  content: string;
}

/** Puts challenge files into the shared webroot, readable by nginx, each by rename. */
export function putChallenges(files: readonly ChallengeFile[]): CheckedStep {
  return {
    check: join(
      files.map(({ token, content }) => sh`printf %s ${content} | cmp -s - ${challengePath(token)} || exit 1`),
    ),
    act: sh`set -eu
install -d -m 0755 ${paths.acme} ${`${paths.acme}/.well-known`} ${CHALLENGES}
${join(files.map(({ token, content }) => writeFile({ path: challengePath(token), content, mode: '0644' })))}`,
  };
}

/** Removes them; that there are none is no error. */
export function removeChallenges(tokens: readonly string[]): CheckedStep {
  const files = tokens.flatMap((token) => [challengePath(token), `${CHALLENGES}/.${token}.new`]);
  return {
    check: join(files.map((file) => sh`[ ! -e ${file} ] || exit 1`)),
    act: sh`rm -f -- ${files}`,
  };
}

/** Prints the server's own addresses, separated by spaces and lines, those of loopback left out. */
export function ownAddresses(): Script {
  return sh`hostname -I`;
}

const CHALLENGES = `${paths.acme}/.well-known/acme-challenge`;

function challengePath(token: string): string {
  return `${CHALLENGES}/${token}`;
}

function nextPath({ site, candidate }: Candidate): string {
  return `${paths.tls(site)}/next/${candidate}`;
}

function directories(site: string): Script {
  const base = paths.tls(site);
  return sh`install -d -m 0700 ${base} ${`${base}/next`} ${`${base}/pairs`}`;
}

/** rename(2) of a link over a link: at no moment is there none, or a key without its certificate. */
function point(target: string | Script): Script {
  return sh`ln -sfn ${target} current.new
  mv -fT current.new current
  sync .`;
}

/** Without a running nginx there is nothing to tell: its next start reads the pair. In a shell of its own, for it exits. */
function reload(): Script {
  return sh`if systemctl -q is-active nginx; then ( ${reloadNginx()} ); fi`;
}
