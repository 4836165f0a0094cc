import { isIP } from 'node:net';
import { failure } from '../workflows/failures.js';
import { quoted } from './text.js';

/** What names and tags are made of, and the same in words. */
const WORD = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const FORM = '1 to 63 lower-case letters, digits and hyphens, and neither begins nor ends with a hyphen';

/** @throws InvalidInput saying what a server may be called */
export function parseServerName(text: string): string {
  return parseName(text, 'server');
}

/** @throws InvalidInput saying what a tenant may be called */
export function parseTenantName(text: string): string {
  return parseName(text, 'tenant');
}

/** @throws InvalidInput saying what a storage may be called */
export function parseStorageName(text: string): string {
  return parseName(text, 'storage');
}

/** @throws InvalidInput saying what a webhook may be called */
export function parseWebhookName(text: string): string {
  return parseName(text, 'webhook');
}

/** @throws InvalidInput saying what a token may be called */
export function parseTokenName(text: string): string {
  return parseName(text, 'token');
}

/** @throws InvalidInput saying what a tag may be */
export function parseTag(text: string): string {
  if (WORD.test(text)) return text;
  throw failure('InvalidInput', `${quoted(text)} is no tag`, { cause: `a tag has ${FORM}` });
}

function parseName(text: string, of: string): string {
  if (text.trim() === '') throw failure('InvalidInput', `The ${of}'s name is empty`);
  if (WORD.test(text)) return text;
  throw failure('InvalidInput', `${quoted(text)} is no name for a ${of}`, { cause: `a name has ${FORM}` });
}

/** An IP address or a host name. @throws InvalidInput */
export function parseAddress(text: string): string {
  if (text.trim() === '') throw failure('InvalidInput', 'The host is empty');
  const label = '[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?';
  const name = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`, 'i');
  // Only dots and digits, yet no address: DNS would never be asked about 10.0.0.256.
  if (isIP(text) !== 0 || (name.test(text) && !/^[\d.]+$/.test(text))) return text.toLowerCase();
  throw failure('InvalidInput', `${quoted(text)} is no host`, { cause: 'it is neither an IP address nor a host name' });
}

/** @throws InvalidInput */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw failure('InvalidInput', `${quoted(text)} is no port`, { cause: 'a port is a number from 1 to 65535' });
}

/** How many are listed at most. `of` names them. @throws InvalidInput */
export function parseLimit(text: string, of: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit >= 1) return limit;
  throw failure('InvalidInput', `${quoted(text)} is no number of ${of}`);
}

/** A login name (useradd(8)). @throws InvalidInput */
export function parseUser(text: string): string {
  if (/^[a-z_][a-z0-9_-]{0,31}$/.test(text)) return text;
  throw failure('InvalidInput', `${quoted(text)} is no user name`, {
    cause: 'a user name has up to 32 lower-case letters, digits, _ and -, and begins with a letter or _',
  });
}

/** A host key's fingerprint as `ssh-keygen -l` prints it. @throws InvalidInput */
export function parseFingerprint(text: string): string {
  const bare = text.replace(/=+$/, '');
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(bare)) return bare;
  throw failure('InvalidInput', `${quoted(text)} is no fingerprint of a host key`, {
    cause: 'it looks like SHA256: and 43 characters',
    next: 'on the server: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub',
  });
}

/** An operation's id as CHOM makes it; anything else cannot be one. @throws InvalidInput */
export function parseOperationId(text: string): string {
  if (/^[a-z0-9][a-z0-9/-]{0,199}$/.test(text)) return text;
  throw failure('InvalidInput', `${quoted(text)} is no operation id`, { next: 'chom op list' });
}
