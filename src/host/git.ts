import { BlockList, isIP } from 'node:net';
import { failure } from '../workflows/failures.js';
import { EXIT } from './exit-codes.js';
import { sh, type Script } from './shell.js';

/** A repository to fetch from, taken apart. */
export interface GitRemote {
  url: string;
  scheme: 'https' | 'ssh';
  host: string;
  port: number;
}

/** A remote whose addresses were looked up and found allowed: git connects to these alone. */
export interface PinnedRemote extends GitRemote {
  addresses: string[];
}

const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i;

/**
 * Takes the address of a repository apart: `https://…`, `ssh://…` or `user@host:path`.
 * @throws InvalidInput any other scheme, a password in it, or no path
 */
export function parseRemote(url: string): GitRemote {
  const [, user = '', scpHost = '', path = ''] = /^([\w.-]+)@([\w.-]+):(?!\/\/)([^\s].*)$/.exec(url) ?? [];
  if (user !== '') return checked({ url: `ssh://${user}@${scpHost}/${path}`, scheme: 'ssh', host: scpHost, port: 22 });
  if (!URL.canParse(url)) throw refused(url, 'it is not a URL');
  const parsed = new URL(url);
  const { protocol, password, pathname, username } = parsed;
  const scheme = protocol === 'https:' ? 'https' : protocol === 'ssh:' ? 'ssh' : null;
  if (!scheme) throw refused(url, 'only https and ssh are allowed');
  if (password !== '' || (scheme === 'https' && username !== '')) {
    throw refused(parsed.host, 'a password or token in the URL would show in process lists and logs');
  }
  if (pathname.length < 2) throw refused(url, 'it names no repository');
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  return checked({ url, scheme, host, port: Number(parsed.port || (scheme === 'https' ? 443 : 22)) });
}

/** Prints the addresses of a host as the server itself resolves it, one in each line. */
export function resolveRemote({ host }: GitRemote): Script {
  return sh`getent ahosts ${host} | awk '{ print $1 }' | sort -u`;
}

/**
 * Keeps what git may connect to.
 * @throws SourceUnavailable no address; `SourceRejected` one of them is not public and `allowPrivate` is not set
 */
export function pinRemote(remote: GitRemote, resolved: string, allowPrivate: boolean): PinnedRemote {
  const addresses = resolved.split('\n').filter((address) => isIP(address) !== 0);
  if (addresses.length === 0) {
    throw failure('SourceUnavailable', `${remote.host} has no address`, {
      cause: 'the server cannot resolve the name',
    });
  }
  const inside = addresses.find((address) => !isPublicAddress(address));
  if (inside !== undefined && !allowPrivate) {
    throw failure('SourceRejected', `${remote.host} is at ${inside}, which is not a public address`, {
      cause: 'a repository there would let a tenant reach services of the internal network',
      next: 'set CHOM_ALLOW_PRIVATE_GIT=true for the worker if this is wanted',
    });
  }
  return { ...remote, addresses };
}

/** Special-purpose blocks that are not globally reachable (IANA registries, RFC 6890), and multicast. */
const NOT_PUBLIC = new BlockList();
for (const block of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]) {
  const [address = '', bits = ''] = block.split('/');
  NOT_PUBLIC.addSubnet(address, Number(bits), 'ipv4');
}
// 6to4 and Teredo carry IPv4 addresses; the rest are documentation and benchmarks.
for (const block of ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']) {
  const [address = '', bits = ''] = block.split('/');
  NOT_PUBLIC.addSubnet(address, Number(bits), 'ipv6');
}
const GLOBAL_UNICAST = new BlockList();
GLOBAL_UNICAST.addSubnet('2000::', 3, 'ipv6');

/** Whether an address is one of the public Internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !NOT_PUBLIC.check(address, 'ipv4');
  return isIP(address) === 6 && GLOBAL_UNICAST.check(address, 'ipv6') && !NOT_PUBLIC.check(address, 'ipv6');
}

/**
 * Fetches one commit into the empty directory `directory`, without its history. To be run as the site's user. What the
 * repository says is never run: no hooks, no submodules, no filters. Exit codes: sourceRejected, sourceUnavailable.
 */
export function fetchCommit(remote: PinnedRemote, ref: string | null, directory: string, limitBytes: number): Script {
  const { url, host, port, scheme, addresses } = remote;
  const [first = ''] = addresses;
  const pinned = addresses.map((address) => (isIP(address) === 6 ? `[${address}]` : address)).join(',');
  const wanted = ref ?? 'HEAD';
  // A second look-up could give another address than the one that was checked (curl's CURLOPT_RESOLVE; git 2.37).
  const settings = scheme === 'https' ? ['-c', `http.curloptResolve=${host}:${port}:${pinned}`] : [];
  const ssh = `ssh -o BatchMode=yes -o HostName=${first} -o HostKeyAlias=${host} -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$HOME/known_hosts"`;
  return sh`export GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ALLOW_PROTOCOL=https:ssh
export GIT_SSH_COMMAND=${ssh}
unavailable() { echo "$1" >&2; exit ${EXIT.sourceUnavailable}; }
rejected() { echo "$1" >&2; exit ${EXIT.sourceRejected}; }
# In blocks of 512 bytes: git writes what it fetches into one file.
ulimit -f ${Math.ceil(limitBytes / 512)}
fetch() { git -c http.followRedirects=false -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 ${settings} "$@" >&2; }
git init -q --template= ${directory} && cd ${directory} || exit 1
${
  isCommit(wanted)
    ? sh`:`
    : sh`fetch ls-remote -q --exit-code -- ${url} ${wanted}
case $? in
  0) ;;
  2) rejected ${`the repository has no branch or tag ${wanted}`} ;;
  *) unavailable ${`the repository at ${host} cannot be read: it is away, or not for this site to read`} ;;
esac`
}
fetch fetch -q --depth 1 --no-tags --no-recurse-submodules -- ${url} ${wanted} ||
  unavailable ${`${wanted} cannot be fetched from ${host}`}
if [ "$(du -sk . | cut -f 1)" -gt ${Math.ceil(limitBytes / 1024)} ]; then rejected 'the repository is too large'; fi
git -c advice.detachedHead=false checkout -q --detach FETCH_HEAD || rejected 'the commit cannot be checked out'
git rev-parse HEAD
rm -rf .git`;
}

/**
 * Hands the private key on standard input to an ssh-agent, for as long as the script lasts: to be run as the site's user,
 * before `fetchCommit`. The key reaches no disk, and no argument. Exit code: sourceUnavailable.
 */
export function holdDeployKey(): Script {
  return sh`eval "$(ssh-agent -s)" >/dev/null && trap 'kill "$SSH_AGENT_PID"' EXIT && ssh-add -q - || {
  echo 'the deploy key cannot be used: ssh-add refuses it' >&2
  exit ${EXIT.sourceUnavailable}
}
exec </dev/null`;
}

function isCommit(ref: string): boolean {
  return /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(ref);
}

function checked(remote: GitRemote): GitRemote {
  if (isIP(remote.host) === 0 && !HOST.test(remote.host)) throw refused(remote.host, 'its host name is not valid');
  return remote;
}

function refused(url: string, cause: string) {
  return failure('InvalidInput', `The repository ${url.slice(0, 200)} cannot be used`, { cause });
}
