import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';

/** A key pair for logging in, as OpenSSH writes it. */
export interface SshKey {
  /** `ssh-ed25519 AAAA… comment` */
  public: string;
  /** `SHA256:…` */
  fingerprint: string;
  /** The file that `ssh -i` reads. A secret. */
  private: Buffer;
}

/**
 * A new ed25519 key from Node's own generator, written in OpenSSH's format (PROTOCOL.key): other programs then read it
 * too, should it ever be needed without CHOM.
 */
export function makeSshKey(comment: string): SshKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const { d = '' } = privateKey.export({ format: 'jwk' });
  const point = Buffer.from(x, 'base64url');
  const type = text('ssh-ed25519');
  const blob = Buffer.concat([type, text(point)]);
  const check = randomBytes(4);
  const secret = Buffer.concat([
    check,
    check,
    type,
    text(point),
    text(Buffer.concat([Buffer.from(d, 'base64url'), point])),
    text(comment),
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (secret.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    text('none'),
    text('none'),
    text(''),
    number(1),
    text(blob),
    text(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').replaceAll(/.{70}(?=.)/g, '$&\n');
  return {
    public: `ssh-ed25519 ${blob.toString('base64')} ${comment}`,
    fingerprint: fingerprintOf(blob),
    private: Buffer.from(`-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`),
  };
}

/** The `SHA256:…` of a public key's line, as `ssh-keygen -l` prints it. */
export function fingerprintOfLine(line: string): string {
  const [, blob = ''] = line.split(' ');
  return fingerprintOf(Buffer.from(blob, 'base64'));
}

function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
