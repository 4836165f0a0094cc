import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { failure } from '../workflows/failures.js';

const FORMAT = 'chom-recovery1';
const PUBLIC = 'chom-recovery-public-';
const PRIVATE = 'CHOM-RECOVERY-PRIVATE-';
/**
 * Opens the repository of restic that a sealed password lies in where a storage takes nothing else. No secret: what lies in
 * it is sealed already.
 */
export const ESCROW_PASSWORD = 'chom-recovery';

/** The address of that repository. A REST server takes repositories two directories deep at most (rest-server 0.14). */
export function escrowUrl({ kind, url }: { kind: string; url: string }, name: string): string {
  return kind === 'rest' ? `${url}/recovery-${name}` : `${url}/recovery/${name}`;
}

const NONCE = 12;
const TAG = 16;

/**
 * A new recovery key (X25519). The private half is printed once and kept by the operator, away from the controller;
 * only the public half stays here.
 */
export function createRecoveryKey(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return {
    publicKey: PUBLIC + field(publicKey, 'x'),
    privateKey: PRIVATE + field(privateKey, 'd') + field(publicKey, 'x'),
  };
}

/**
 * Seals to the holder of the private half: ephemeral ECDH, HKDF-SHA256, AES-256-GCM.
 * @throws InvalidInput when `publicKey` is none
 */
export function sealToRecovery(publicKey: string, plaintext: Buffer): string {
  const recipient = publicFrom(publicKey);
  const ephemeral = generateKeyPairSync('x25519');
  const from = field(ephemeral.publicKey, 'x');
  const key = agree(ephemeral.privateKey, recipient, from);
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const body = Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
  return `${FORMAT}.${from}.${body.toString('base64url')}`;
}

/**
 * Opens what was sealed to the recovery key.
 * @throws InvalidInput not a private key; `Forbidden` not sealed to it, or changed since
 */
export function openFromRecovery(privateKey: string, sealed: string): Buffer {
  const recipient = privateFrom(privateKey);
  const [format, from, body, ...rest] = sealed.split('.');
  if (format !== FORMAT || from === undefined || body === undefined || rest.length > 0) throw unreadable();
  const bytes = Buffer.from(body, 'base64url');
  if (bytes.length < NONCE + TAG) throw unreadable();
  try {
    const key = agree(recipient, publicFrom(PUBLIC + from), from);
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]);
  } catch {
    throw unreadable();
  }
}

/** Both public halves go into the key, as RFC 7748 section 6.1 advises. */
function agree(privateKey: KeyObject, publicKey: KeyObject, ephemeral: string): Buffer {
  const secret = diffieHellman({ privateKey, publicKey });
  const own = field(createPublicKey(privateKey), 'x');
  const recipient = own === ephemeral ? field(publicKey, 'x') : own;
  return Buffer.from(hkdfSync('sha256', secret, '', `${FORMAT}\0${ephemeral}\0${recipient}`, 32));
}

function field(key: KeyObject, name: 'x' | 'd'): string {
  const value = key.export({ format: 'jwk' })[name];
  if (typeof value !== 'string') throw failure('Bug', 'An X25519 key without its halves');
  return value;
}

function publicFrom(text: string): KeyObject {
  const x = text.startsWith(PUBLIC) ? text.slice(PUBLIC.length) : '';
  if (!/^[\w-]{43}$/.test(x)) throw failure('InvalidInput', 'This is not the public half of a recovery key');
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
}

function privateFrom(text: string): KeyObject {
  const halves = text.trim();
  const [, d, x] = /^CHOM-RECOVERY-PRIVATE-([\w-]{43})([\w-]{43})$/.exec(halves) ?? [];
  if (d === undefined || x === undefined) {
    throw failure('InvalidInput', 'This is not the private half of a recovery key');
  }
  return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d, x }, format: 'jwk' });
}

function unreadable() {
  return failure('Forbidden', 'This was not sealed to that recovery key, or it was changed');
}
