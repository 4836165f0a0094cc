import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { failure } from '../workflows/failures.js';

const FORMAT = 'chom1';
const NONCE = 12;
const TAG = 16;

const keyringText = z.strictObject({
  current: z.string(),
  keys: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9-]{1,40}$/),
        key: z.base64().refine((text) => Buffer.from(text, 'base64').length === 32),
        created: z.iso.datetime(),
      }),
    )
    .min(1),
  /** Public half of the recovery key, once it was made. */
  recovery: z.string().optional(),
});

/** What `keyring.json` holds. */
export type KeyringObject = z.infer<typeof keyringText>;

/**
 * The keys under which secrets and operations' inputs are sealed (AES-256-GCM). New text is sealed with the current
 * key; older keys stay for what they sealed. Nothing here ever puts a key or a plaintext into an error.
 */
export class Keyring {
  readonly #keys: ReadonlyMap<string, Buffer>;
  /** Id of the key that seals. */
  readonly current: string;
  /** Public half of the recovery key, if one was made. */
  readonly recovery: string | undefined;

  private constructor(object: KeyringObject) {
    this.#keys = new Map(object.keys.map(({ id, key }) => [id, Buffer.from(key, 'base64')]));
    this.current = object.current;
    this.recovery = object.recovery;
  }

  /** @throws InvalidInput when it has not the form of a keyring, or lacks its current key */
  static fromObject(object: unknown): Keyring {
    return new Keyring(Keyring.parse(object));
  }

  /** The same check, for those who change the file. */
  static parse(object: unknown): KeyringObject {
    const parsed = keyringText.safeParse(object);
    if (parsed.success && parsed.data.keys.some(({ id }) => id === parsed.data.current)) return parsed.data;
    throw failure('InvalidInput', 'The keyring is damaged', {
      cause: 'it has not the form of a keyring, or lacks its current key',
      next: 'put back the copy that was kept of it',
    });
  }

  /** A keyring with one new key. */
  static generate(): KeyringObject {
    const key = newKey();
    return { current: key.id, keys: [key] };
  }

  /** Ids of all keys that are held. */
  get ids(): string[] {
    return [...this.#keys.keys()];
  }

  /** `chom1.<key id>.<base64url(nonce, tag, ciphertext)>`; `context` must be the same to open it. */
  seal(plaintext: Buffer, context: string): string {
    return `${FORMAT}.${this.current}.${this.#encrypt(plaintext, context).toString('base64url')}`;
  }

  /** @throws Forbidden not sealed text, a key that is not held, changed since, or sealed for something else */
  open(sealed: string, context: string): Buffer {
    const [format, id, body, ...rest] = sealed.split('.');
    if (format !== FORMAT || id === undefined || body === undefined || rest.length > 0)
      throw unreadable('no sealed text');
    return this.#decrypt(id, Buffer.from(body, 'base64url'), context);
  }

  /** The same as bytes: format, key id, 0, nonce, tag, ciphertext. */
  sealBytes(plaintext: Uint8Array, context: string): Uint8Array {
    const head = Buffer.from(`${FORMAT}.${this.current}\0`, 'latin1');
    return Buffer.concat([head, this.#encrypt(plaintext, context)]);
  }

  /** @throws Forbidden as `open` does */
  openBytes(sealed: Uint8Array, context: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const end = bytes.indexOf(0);
    const [format, id, ...rest] = bytes.subarray(0, Math.max(end, 0)).toString('latin1').split('.');
    if (format !== FORMAT || id === undefined || rest.length > 0) throw unreadable('no sealed bytes');
    return this.#decrypt(id, bytes.subarray(end + 1), context);
  }

  #encrypt(plaintext: Uint8Array, context: string): Buffer {
    const key = this.#keys.get(this.current);
    if (!key) throw failure('Bug', 'The keyring lacks its current key');
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(authenticated(this.current, context));
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
  }

  #decrypt(id: string, body: Buffer, context: string): Buffer {
    const key = this.#keys.get(id);
    if (!key) throw unreadable(`this keyring does not hold key ${/^[a-z0-9-]{1,40}$/.test(id) ? id : '(no key id)'}`);
    if (body.length < NONCE + TAG) throw unreadable('it is cut short');
    const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(authenticated(id, context));
    decipher.setAuthTag(body.subarray(NONCE, NONCE + TAG));
    try {
      return Buffer.concat([decipher.update(body.subarray(NONCE + TAG)), decipher.final()]);
    } catch {
      throw unreadable('it was changed, or sealed for something else');
    }
  }
}

function newKey(): KeyringObject['keys'][number] {
  return {
    id: `k${randomUUID().replaceAll('-', '').slice(0, 12)}`,
    key: randomBytes(32).toString('base64'),
    created: new Date().toISOString(),
  };
}

function authenticated(id: string, context: string): Buffer {
  return Buffer.from(`${FORMAT}\0${id}\0${context}`, 'utf8');
}

function unreadable(cause: string) {
  return failure('Forbidden', 'A sealed value cannot be opened', { cause, next: 'use the keyring that sealed it' });
}
