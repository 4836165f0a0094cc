import { createHash } from 'node:crypto';

/** A server's public host key as the protocol carries it (RFC 4253 §6.6): length-prefixed type, then the key. */
export interface HostKey {
  /** `ssh-ed25519 AAAA…`, as in known_hosts: what is pinned. */
  key: string;
  /** `SHA256:…` as `ssh-keygen -l` prints it: what a person compares. */
  fingerprint: string;
}

/** Signature algorithms for each key type, best first. SHA-1 (`ssh-rsa`) and DSA are not among them (RFC 8332). */
const SIGNATURES = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
} as const;

export type HostKeyAlgorithm = (typeof SIGNATURES)[keyof typeof SIGNATURES][number];

/** Describes a key blob that a server offered. */
export function describeHostKey(blob: Buffer): HostKey {
  const type = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1');
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { key: `${type} ${blob.toString('base64')}`, fingerprint: `SHA256:${digest}` };
}

/** Whether `blob` is exactly the pinned key; `pinned` is `<type> <base64>` or a `SHA256:…` fingerprint. */
export function isPinnedKey(blob: Buffer, pinned: string): boolean {
  const { key, fingerprint } = describeHostKey(blob);
  return pinned.startsWith('SHA256:') ? pinned === fingerprint : key === withoutComment(pinned);
}

/**
 * What to negotiate so that the server shows the pinned key: a server has keys of several types, and another one would
 * look like an attack. For a bare fingerprint, and with nothing pinned, all of them in OpenSSH's own order.
 */
export function signaturesFor(pinned: string | null): HostKeyAlgorithm[] {
  const [type = ''] = (pinned ?? '').split(' ');
  return type in SIGNATURES ? [...SIGNATURES[type as keyof typeof SIGNATURES]] : Object.values(SIGNATURES).flat();
}

function withoutComment(line: string): string {
  return line.trim().split(/\s+/).slice(0, 2).join(' ');
}
