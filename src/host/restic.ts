import { failure } from '../workflows/failures.js';
import { paths } from './paths.js';
import { join, sh, type Script } from './shell.js';

/** What gets into a storage. */
export type RepositoryLogin =
  | { kind: 'rest'; user: string; password: string }
  | { kind: 'sftp'; privateKey: string }
  | { kind: 's3'; accessKeyId: string; secretAccessKey: string };

/** Everything that opens one repository; a secret. */
export interface RepositoryAccess {
  /** As restic takes it, without a login: `sftp://u@h:22//p`, `rest:https://h/p/`, `s3:https://h/bucket/p`, `/p`. */
  url: string;
  password: Buffer;
  login: RepositoryLogin | null;
  /** Of SFTP, pinned: `type base64`. */
  hostKey: string | null;
  /** PEM of a private CA of a REST or S3 server. */
  ca: string | null;
}

export interface ResticOptions {
  /** Where it lies, absolute; unless said, where servers have it. */
  program?: string;
  /** Directory of the cache; without one nothing is kept. */
  cache?: string;
  /** How long another's lock is waited for, in seconds. */
  waitSeconds?: number;
  /** It is ended after so long: against a storage that does not answer restic itself tries for 15 minutes (0.18, seen). */
  limitSeconds?: number;
  /** A request over HTTP in which nothing moves for so long has failed, and is made again: else after 5 minutes (0.18). */
  stuckSeconds?: number;
}

/** A connection that is silent for so long is dead: 10 s, three times. */
const ALIVE = ['-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3', '-o', 'ConnectTimeout=15'];

/**
 * The files that a unit which runs restic gets by LoadCredential, by name. A login to a REST server is part of the
 * repository's address, which restic reads from a file: in the environment whoever may read /proc would find it.
 * @throws Bug a login of another kind of storage, or SFTP without a pinned host key
 */
export function resticCredentials(access: RepositoryAccess): Record<string, Buffer> {
  const { url, password, login, hostKey, ca } = access;
  const files: Record<string, Buffer> = { password, repository: Buffer.from(withLogin(url, login)) };
  if (ca !== null) files['ca'] = Buffer.from(ca);
  if (isSftp(url)) {
    if (hostKey === null || login?.kind !== 'sftp') throw failure('Bug', `No host key or login is known for ${url}`);
    files['known-hosts'] = Buffer.from(knownHost(url, hostKey));
    files['ssh-key'] = Buffer.from(login.privateKey);
  }
  if (login?.kind === 's3') {
    const { accessKeyId, secretAccessKey } = login;
    const lines = ['[default]', `aws_access_key_id=${accessKeyId}`, `aws_secret_access_key=${secretAccessKey}`, ''];
    files['s3'] = Buffer.from(lines.join('\n'));
    // For curl, which tries what restic cannot; see overwriting.ts.
    files['curl'] = Buffer.from(`user = "${accessKeyId}:${secretAccessKey}"\n`);
  }
  return files;
}

/**
 * The beginning of a restic command in such a unit; the sub-command and its arguments follow: sh`${restic(…)} snapshots`.
 * What it prints is JSON lines, for parseResticLines; its exit codes are those of resticFailure.
 */
export function restic(
  { url, login, ca }: Pick<RepositoryAccess, 'url' | 'login' | 'ca'>,
  { program = paths.restic, cache, waitSeconds, limitSeconds, stuckSeconds }: ResticOptions = {},
): Script {
  const environment = [
    sh`RESTIC_REPOSITORY_FILE="$CREDENTIALS_DIRECTORY/repository"`,
    sh`RESTIC_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/password"`,
    // Progress every 5 s: as often as it heartbeats is enough.
    sh`RESTIC_PROGRESS_FPS=0.2`,
    ...(login?.kind === 's3' ? [sh`AWS_SHARED_CREDENTIALS_FILE="$CREDENTIALS_DIRECTORY/s3"`] : []),
  ];
  const options = [
    sh`--json`,
    cache === undefined ? sh`--no-cache` : sh`--cache-dir ${cache}`,
    ...(waitSeconds === undefined ? [] : [sh`--retry-lock ${`${waitSeconds}s`}`]),
    ...(stuckSeconds === undefined ? [] : [sh`--stuck-request-timeout ${`${stuckSeconds}s`}`]),
    ...(ca === null ? [] : [sh`--cacert "$CREDENTIALS_DIRECTORY/ca"`]),
    ...(isSftp(url) ? [sh`-o sftp.args="${sshArguments()}"`] : []),
  ];
  const limit = limitSeconds === undefined ? [] : [sh`timeout --signal=INT --kill-after=10 ${limitSeconds}`];
  return join([...environment, ...limit, sh`${program}`, ...options], ' ');
}

/** The address of a site's own repository in a storage; `name` is the site's id. */
export function repositoryUrl(base: string, name: string): string {
  return `${base.replace(/\/+$/, '')}/${repositoryName(name)}`;
}

/** The name, where it can be one: it becomes a part of paths and addresses. @throws Bug */
export function repositoryName(name: string): string {
  if (!/^[a-z0-9-]{1,40}$/.test(name)) throw failure('Bug', `${name} names no repository`);
  return name;
}

/** A line of known_hosts(5) for the host of an SFTP address. */
export function knownHost(url: string, hostKey: string): string {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return `${port === '' || port === '22' ? host : `[${host}]:${port}`} ${hostKey}\n`;
}

function isSftp(url: string): boolean {
  return url.startsWith('sftp:');
}

/** What ssh and sftp are told; $CREDENTIALS_DIRECTORY has neither spaces nor quotes. */
export function sshArguments(): Script {
  const directory = '$CREDENTIALS_DIRECTORY';
  const words = [
    ...['-F', 'none', '-i', `${directory}/ssh-key`, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'],
    ...['-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes', '-o', 'UpdateHostKeys=no'],
    ...['-o', `UserKnownHostsFile=${directory}/known-hosts`, '-o', 'GlobalKnownHostsFile=/dev/null', ...ALIVE],
  ];
  return { script: Buffer.from(words.join(' ')) };
}

function withLogin(url: string, login: RepositoryLogin | null): string {
  if (login?.kind !== 'rest') return url;
  const address = new URL(url.slice('rest:'.length));
  address.username = encodeURIComponent(login.user);
  address.password = encodeURIComponent(login.password);
  return `rest:${address.href}`;
}
