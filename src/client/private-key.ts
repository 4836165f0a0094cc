import { open } from 'node:fs/promises';
import { failure } from '../workflows/failures.js';
import { quoted } from './text.js';

/** An SSH key pair as it was given. */
export interface PrivateKey {
  /** The file's bytes: the secret half. */
  secret: Buffer;
  /** `ssh-ed25519 AAAA…`. */
  public: string;
}

const LIMIT_BYTES = 64 * 1024;

/** Reads a private key without passphrase. @throws InvalidInput no such file, no private key, or one with a passphrase */
export async function readPrivateKey(file: string, option = '--key'): Promise<PrivateKey> {
  if (file === '') throw failure('InvalidInput', `${option} is empty`);
  return await parsePrivateKey(await readSmall(file), `The key file ${quoted(file)}`);
}

/** `what` names it in messages; nothing of the key is ever in one. @throws InvalidInput as `readPrivateKey` */
export async function parsePrivateKey(secret: Buffer, what = 'The key'): Promise<PrivateKey> {
  // Loaded when there is a key to read: it is large, and most commands read none.
  const { default: ssh2 } = await import('ssh2');
  const parsed: unknown = ssh2.utils.parseKey(secret);
  const key: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error && /encrypted/i.test(key.message)) {
    throw failure('InvalidInput', `${what} has a passphrase`, {
      cause: 'CHOM reaches servers while nobody is there to type it',
      next: 'ssh-keygen -t ed25519 -N "" -f NEW_KEY, add NEW_KEY.pub where it shall log in, and give NEW_KEY',
    });
  }
  if (!isKey(key)) {
    throw failure('InvalidInput', `${what} is no SSH key that can be read`, {
      cause: 'it has neither the OpenSSH nor the PEM form',
      next: 'ssh-keygen -p -N "" -f FILE rewrites a key in the OpenSSH form',
    });
  }
  if (!key.isPrivateKey()) {
    throw failure('InvalidInput', `${what} is a public key`, { next: 'give the file without .pub' });
  }
  return { secret, public: `${key.type} ${key.getPublicSSH().toString('base64')}` };
}

interface Key {
  type: string;
  isPrivateKey(): boolean;
  getPublicSSH(): Buffer;
}

function isKey(value: unknown): value is Key {
  return typeof value === 'object' && value !== null && 'isPrivateKey' in value && 'getPublicSSH' in value;
}

async function readSmall(file: string): Promise<Buffer> {
  const refuse = (cause: string) => failure('InvalidInput', `The key file ${quoted(file)} cannot be read`, { cause });
  try {
    const handle = await open(file, 'r');
    try {
      const about = await handle.stat();
      if (!about.isFile()) throw refuse('it is no file');
      if (about.size > LIMIT_BYTES) throw refuse('it is far larger than a key');
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code: unknown = Reflect.get(Object(error), 'code');
    if (code === 'ENOENT') throw refuse('there is no such file');
    if (code === 'EACCES') throw refuse('you may not read it');
    if (typeof code === 'string') throw refuse(code);
    throw error;
  }
}
