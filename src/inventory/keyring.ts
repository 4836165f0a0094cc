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
  /** The key to which everything is being changed over; it stays here until all that others sealed was sealed anew. */
  rotating: z.string().optional(),
});

/** What `keyring.json` holds. */
export type KeyringObject = z.infer<typeof keyringText>;

/** What has become of a keyring meanwhile; null where it is as it was. `now`: asked again although it was asked just before. */
export type Reread = (now: boolean) => KeyringObject | null;

/**
 * The keys under which secrets and operations' inputs are sealed (AES-256-GCM). New text is sealed with the current
 * key; older keys stay for what they sealed. One that came from a file follows it, so that a process which runs for months
 * holds a new key before anything reaches it that was sealed with that. Nothing here ever puts a key or a plaintext into an error.
 */
export class Keyring {
  #object: KeyringObject;
  #keys: ReadonlyMap<string, Buffer>;
  readonly #reread: Reread;

  private constructor(object: KeyringObject, reread: Reread) {
    this.#object = object;
    this.#keys = keysOf(object);
    this.#reread = reread;
  }

  /** @throws InvalidInput when it has not the form of a keyring, or lacks its current key */
  static fromObject(object: unknown, reread: Reread = () => null): Keyring {
    return new Keyring(Keyring.parse(object), reread);
  }

  /** The same check, for those who change the file. */
  static parse(object: unknown): KeyringObject {
    const parsed = keyringText.safeParse(object);
    const holds = (wanted: string) => parsed.data?.keys.some(({ id }) => id === wanted) === true;
    const { current, rotating = current } = parsed.data ?? {};
    if (parsed.success && holds(parsed.data.current) && holds(rotating ?? '')) return parsed.data;
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

  /** The same with another key, which seals nothing yet. One that has such a key stays as it is. */
  static withNext(object: KeyringObject): KeyringObject {
    if (object.rotating !== undefined) return object;
    const key = newKey();
    return { ...object, keys: [...object.keys, key], rotating: key.id };
  }

  /** Id of the key that seals. */
  get current(): string {
    return this.refreshed().current;
  }

  /** Public half of the recovery key, if one was made, be it at this moment. */
  get recovery(): string | undefined {
    return this.refreshed(this.#object.recovery === undefined).recovery;
  }

  /** Ids of all keys that are held, the oldest first. */
  get ids(): string[] {
    return this.refreshed().keys.map(({ id }) => id);
  }

  /** Since when each is there (ISO-8601 UTC). */
  get ages(): { id: string; created: string }[] {
    return this.refreshed().keys.map(({ id, created }) => ({ id, created }));
  }

  /** The key to which everything is being changed over, if that is under way. */
  get rotating(): string | undefined {
    return this.refreshed().rotating;
  }

  /** `chom1.<key id>.<base64url(nonce, tag, ciphertext)>`; `context` must be the same to open it. */
  seal(plaintext: Buffer, context: string, by = this.current): string {
    return `${FORMAT}.${by}.${this.#encrypt(plaintext, context, by).toString('base64url')}`;
  }

  /** @throws Forbidden not sealed text, a key that is not held, changed since, or sealed for something else */
  open(sealed: string, context: string): Buffer {
    const [format, id, body, ...rest] = sealed.split('.');
    if (format !== FORMAT || id === undefined || body === undefined || rest.length > 0)
      throw unreadable('no sealed text');
    return this.#decrypt(id, Buffer.from(body, 'base64url'), context);
  }

  /** The same as bytes: format, key id, 0, nonce, tag, ciphertext. */
  sealBytes(plaintext: Uint8Array, context: string, by = this.current): Uint8Array {
    return Buffer.concat([sealedBytesHead(by), this.#encrypt(plaintext, context, by)]);
  }

  /** @throws Forbidden as `open` does */
  openBytes(sealed: Uint8Array, context: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const end = bytes.indexOf(0);
    const [format, id, ...rest] = bytes.subarray(0, Math.max(end, 0)).toString('latin1').split('.');
    if (format !== FORMAT || id === undefined || rest.length > 0) throw unreadable('no sealed bytes');
    return this.#decrypt(id, bytes.subarray(end + 1), context);
  }

  #encrypt(plaintext: Uint8Array, context: string, by: string): Buffer {
    const key = this.#keys.get(by);
    if (!key) throw failure('Bug', 'The keyring lacks its current key');
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(authenticated(by, context));
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
  }

  #decrypt(id: string, body: Buffer, context: string): Buffer {
    if (!this.#keys.has(id)) this.refreshed(true);
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

  /** As its file is by now. Another installation's is not taken over: what this one sealed could not be opened any more. */
  refreshed(now = false): KeyringObject {
    const object = this.#reread(now);
    if (object?.keys.some(({ id }) => this.#keys.has(id))) {
      this.#object = object;
      this.#keys = keysOf(object);
    }
    return this.#object;
  }
}

/** What sealed text begins with that this key sealed. */
export function sealedHead(id: string): string {
  return `${FORMAT}.${id}.`;
}

/** The same of sealed bytes. */
export function sealedBytesHead(id: string): Buffer {
  return Buffer.from(`${FORMAT}.${id}\0`, 'latin1');
}

function keysOf({ keys }: KeyringObject): Map<string, Buffer> {
  return new Map(keys.map(({ id, key }) => [id, Buffer.from(key, 'base64')]));
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
