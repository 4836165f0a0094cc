import { createHash, randomUUID } from 'node:crypto';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Inventory, Trx } from './database.js';

/** Small enough that writing one holds SQLite's lock for milliseconds. */
const CHUNK_BYTES = 1024 * 1024;

/** Bytes that an operation will install, by their hash. */
export interface Upload {
  sha256: string;
  bytes: number;
}

/**
 * Keeps a stream of bytes until it is installed. Each chunk is its own transaction; the upload counts only once it is
 * whole. The same bytes are kept once.
 * @throws InvalidInput more than `limitBytes`, or nothing at all
 */
export async function put(
  inventory: Inventory,
  content: AsyncIterable<Uint8Array>,
  { limitBytes, operation = null }: { limitBytes: number; operation?: string | null },
): Promise<Upload> {
  const id = randomUUID();
  const hash = createHash('sha256');
  let size = 0;
  try {
    await inventory.transaction((trx) => create(trx, id, operation));
    let n = 0;
    for await (const bytes of chunked(content)) {
      size += bytes.length;
      if (size > limitBytes) {
        throw failure('InvalidInput', `The upload is larger than ${limitBytes} bytes`, {
          cause: 'uploads are bounded so that one does not fill the inventory',
        });
      }
      hash.update(bytes);
      const chunk = { upload: id, n, bytes };
      // Run again after a commit of unknown effect, it finds its own chunk.
      await inventory.transaction((trx) =>
        trx
          .insertInto('uploadChunks')
          .values(chunk)
          .onConflict((conflict) => conflict.columns(['upload', 'n']).doNothing())
          .execute(),
      );
      n += 1;
    }
    if (size === 0) throw failure('InvalidInput', 'The upload is empty');
    const sha256 = hash.digest('hex');
    await inventory.transaction((trx) => complete(trx, id, sha256, size));
    return { sha256, bytes: size };
  } catch (error) {
    // Should this fail too, `sweep` takes it away.
    await inventory.transaction((trx) => discard(trx, id)).catch(() => undefined);
    throw error;
  }
}

/** The bytes, chunk by chunk. @throws NotFound before the first chunk */
export async function* read(db: Db, sha256: string): AsyncIterable<Buffer> {
  const upload = await db.selectFrom('uploads').select('id').where('sha256', '=', sha256).executeTakeFirst();
  if (!upload) {
    throw failure('NotFound', `There is no upload ${sha256}`, { cause: 'it was installed or removed already' });
  }
  for (let n = 0; ; n += 1) {
    const chunk = await db
      .selectFrom('uploadChunks')
      .select('bytes')
      .where('upload', '=', upload.id)
      .where('n', '=', n)
      .executeTakeFirst();
    if (!chunk) return;
    yield chunk.bytes;
  }
}

/** None is no error. */
export async function remove(trx: Trx, sha256: string): Promise<void> {
  await trx.deleteFrom('uploads').where('sha256', '=', sha256).execute();
}

/** Removes those that began before `olderThan` (ISO-8601 UTC) and never became whole. Returns how many. */
export async function sweep(trx: Trx, olderThan: string): Promise<number> {
  const unfinished = trx.deleteFrom('uploads').where('sha256', 'is', null).where('createdAt', '<', olderThan);
  return Number((await unfinished.executeTakeFirst()).numDeletedRows);
}

async function create(trx: Trx, id: string, operation: string | null): Promise<void> {
  await trx
    .insertInto('uploads')
    .values({ id, sha256: null, size: 0, createdAt: now(), operation })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

async function complete(trx: Trx, id: string, sha256: string, size: number): Promise<void> {
  const known = await trx.selectFrom('uploads').select('id').where('sha256', '=', sha256).executeTakeFirst();
  if (known) return await discard(trx, id);
  await trx.updateTable('uploads').set({ sha256, size }).where('id', '=', id).execute();
}

async function discard(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('uploads').where('id', '=', id).where('sha256', 'is', null).execute();
}

/** Cuts and gathers, since what arrives may be single bytes or everything at once. */
async function* chunked(content: AsyncIterable<Uint8Array>): AsyncIterable<Buffer> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let filled = 0;
  for await (const piece of content) {
    for (let taken = 0; taken < piece.length;) {
      const part = piece.subarray(taken, taken + CHUNK_BYTES - filled);
      chunk.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled === CHUNK_BYTES) {
        yield Buffer.from(chunk);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield Buffer.from(chunk.subarray(0, filled));
}
