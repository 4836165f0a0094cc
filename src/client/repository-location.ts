import type { StorageKind } from '../inventory/schema.js';
import { failure } from '../workflows/failures.js';
import { parseAddress, parsePort, parseUser } from './names.js';
import { quoted } from './text.js';

/** Where a storage's repositories lie. */
export interface RepositoryLocation {
  kind: StorageKind;
  /** As restic takes it, the same for every way of writing it. */
  url: string;
  /** Of SFTP: who offers the host key, and as whom CHOM logs in; null: as a user of each site's own. */
  ssh?: { address: string; port: number; user: string | null };
}

/** Letters that neither a shell, nor sftp's batches, nor an address give a meaning of their own. */
const PATH = /^(\/[A-Za-z0-9_][A-Za-z0-9._-]*)+$/;

/** Reads what `--repository` says. @throws InvalidInput saying how it is written */
export function parseRepository(text: string): RepositoryLocation {
  if (text.startsWith('/')) return { kind: 'local', url: parsePath(text, text) };
  if (text.startsWith('sftp:')) return parseSftp(text);
  if (text.startsWith('rest:')) return { kind: 'rest', url: parseHttps(text, 'rest:') };
  if (text.startsWith('s3:')) return { kind: 's3', url: parseHttps(text, 's3:') };
  throw refused(text, 'it begins with none of sftp:, rest:, s3: and /');
}

function parseSftp(text: string): RepositoryLocation {
  const bare = /^sftp:(?:\/\/)?(\[[^\]]+\]|[^:/@]+)(?::(\d+))?\/?$/.exec(text);
  if (bare) {
    const ssh = { ...parseHost(bare[1] ?? '', bare[2] ?? ''), user: null };
    return { kind: 'sftp', url: `sftp://${written(ssh)}`, ssh };
  }
  const long = /^sftp:\/\/([^@/]+)@(\[[^\]]+\]|[^:/@]+)(?::(\d+))?\/(\/.+)$/.exec(text);
  const short = /^sftp:([^@/:]+)@(\[[^\]]+\]|[^:/@]+):()(\/.+)$/.exec(text);
  const [, user, host, port = '', path] = long ?? short ?? [];
  if (user === undefined || host === undefined || path === undefined) {
    throw refused(
      text,
      'SFTP is written sftp:USER@HOST:/path, with a port sftp://USER@HOST:PORT//path; or sftp:HOST, of an enrolled server',
    );
  }
  const ssh = { ...parseHost(host, port), user: parseUser(user) };
  return { kind: 'sftp', url: `sftp://${ssh.user}@${written(ssh)}/${parsePath(path, text)}`, ssh };
}

function parseHost(host: string, port: string): { address: string; port: number } {
  const address = parseAddress(host.replace(/^\[(.*)\]$/, '$1'));
  return { address, port: port === '' ? 22 : parsePort(port) };
}

function written({ address, port }: { address: string; port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function parseHttps(text: string, scheme: 'rest:' | 's3:'): string {
  const address = text.slice(scheme.length);
  const parsed = URL.canParse(address) ? new URL(address) : null;
  if (parsed?.protocol !== 'https:') {
    throw refused(text, `${scheme}https://… alone: over http the login would be read by whoever is in between`);
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw refused('', 'the login does not belong into the address, where it would be shown: --login FILE');
  }
  if (parsed.search !== '' || parsed.hash !== '') throw refused(text, 'an address of a storage has no ? and no #');
  const path = parsed.pathname.replace(/\/+$/, '');
  if (path !== '') parsePath(path, text);
  if (scheme === 's3:' && path === '') throw refused(text, 'S3 is written s3:https://HOST/BUCKET or …/BUCKET/path');
  return `${scheme}https://${parsed.host}${path}`;
}

function parsePath(path: string, text: string): string {
  const plain = path.replace(/\/+$/, '');
  if (PATH.test(plain) && plain.length <= 200) return plain;
  throw refused(text, 'its path holds other than letters, digits, . _ - and single slashes');
}

function refused(text: string, cause: string) {
  return failure(
    'InvalidInput',
    text === '' ? 'That is no place for backups' : `${quoted(text)} is no place for backups`,
    {
      cause,
      next: 'chom storage add --help',
    },
  );
}
