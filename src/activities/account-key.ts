import { createHash, generateKeyPairSync } from 'node:crypto';

/** The credential of our account's first key at an authority; those that follow have ids below it. */
export function accountKeyId(directory: string): string {
  return `acme-account-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
}

/** A private key of an account: P-256, PEM. */
export function makeAccountKey(): Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}
