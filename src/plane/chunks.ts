import { createCipheriv, createDecipheriv } from 'node:crypto';

/** So much of the plaintext is sealed at a time: what memory is needed for, whatever the size of the whole. */
const CHUNK = 64 * 1024;
const TAG = 16;

/**
 * Encrypts a stream with a key that is used for nothing else: chunks under AES-256-GCM, whose nonces count them and mark the
 * last one, so that none can be changed, moved, left out, or cut off (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár 2015, as age
 * has it). `bound` is authenticated with each of them.
 */
export async function* sealChunks(key: Buffer, bound: Buffer, plain: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let n = 0;
  for await (const { bytes, last } of chunks(plain, CHUNK)) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce(n, last));
    cipher.setAAD(bound);
    yield Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    n += 1;
  }
}

/** The plaintext again, a chunk at a time and never one that was not verified. Throws where it is not what was sealed. */
export async function* openChunks(key: Buffer, bound: Buffer, sealed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let n = 0;
  for await (const { bytes, last } of chunks(sealed, CHUNK + TAG)) {
    if (bytes.length < TAG) throw new Error('it is cut short');
    const end = bytes.length - TAG;
    const decipher = createDecipheriv('aes-256-gcm', key, nonce(n, last), { authTagLength: TAG });
    decipher.setAAD(bound);
    decipher.setAuthTag(bytes.subarray(end));
    yield Buffer.concat([decipher.update(bytes.subarray(0, end)), decipher.final()]);
    n += 1;
  }
}

function nonce(n: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntBE(n, 5, 6);
  bytes[11] = last ? 1 : 0;
  return bytes;
}

/** A stream in pieces of one size; the last one, which may be empty where nothing else came, is known as such. */
async function* chunks(stream: AsyncIterable<Buffer>, size: number): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let held: Buffer[] = [];
  let length = 0;
  for await (const some of stream) {
    held.push(some);
    length += some.length;
    // What fills a piece exactly is held back: it may be the last one.
    if (length <= size) continue;
    const whole = Buffer.concat(held);
    let from = 0;
    for (; whole.length - from > size; from += size) yield { bytes: whole.subarray(from, from + size), last: false };
    held = [whole.subarray(from)];
    length = whole.length - from;
  }
  yield { bytes: Buffer.concat(held), last: true };
}
