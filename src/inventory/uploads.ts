import { createHash } from 'node:crypto';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Inventory, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import { noteKey } from './sealing.js';

/** Small enough that writing one holds SQLite's lock for milliseconds. */
const CHUNK_BYTES = 1024 * 1024;

/** Bytes that an operation will install, by their hash. */
export interface Upload {
  sha256: string;
  bytes: number;
}

/**
 * What stands for an operation where there is none yet: a tenant's own upload, until it is named in what asks for one. No id of
 * an operation begins like it.
 */
export function waitingId(tenant: string, upload: string): string {
  return `upload/${tenant}/${upload}`;
}

/** How many of a tenant wait, also such as still arrive. */
export async function countWaiting(db: Db, tenant: string): Promise<number> {
  const { n } = await db
    .selectFrom('uploads')
    .select((select) => select.fn.countAll().as('n'))
    .where('operation', '>=', waitingId(tenant, ''))
    .where('operation', '<', waitingId(tenant, '~'))
    .executeTakeFirstOrThrow();
  return Number(n);
}

/** One that is whole; null: there is none. */
export async function find(db: Db, operation: string): Promise<Upload | null> {
  const row = await db
    .selectFrom('uploads')
    .select(['sha256', 'size'])
    .where('operation', '=', operation)
    .executeTakeFirst();
  return row?.sha256 ? { sha256: row.sha256, bytes: row.size } : null;
}

/**
 * Keeps a stream of bytes, sealed, until the operation that will install it has ended. Each chunk is its own
 * transaction; the upload counts only once it is whole. `admit` may refuse it, in the transaction that begins it.
 * @throws InvalidInput more than `limitBytes`, or nothing at all
 */
export async function put(
  { inventory, keyring }: { inventory: Inventory; keyring: Keyring },
  operation: string,
  content: AsyncIterable<Uint8Array>,
  { limitBytes, admit }: { limitBytes: number; admit?: (trx: Trx) => Promise<void> },
): Promise<Upload> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    await inventory.transaction(async (trx) => {
      await admit?.(trx);
      await create(trx, operation);
    });
    let n = 0;
    for await (const bytes of chunked(content)) {
      size += bytes.length;
      if (size > limitBytes) {
        throw failure('InvalidInput', `The upload is larger than ${limitBytes} bytes`, {
          cause: 'uploads are bounded so that one does not fill the inventory',
        });
      }
      hash.update(bytes);
      const part = n;
      await inventory.transaction((trx) => keep(trx, keyring, { operation, n: part, bytes }));
      n += 1;
    }
    if (size === 0) throw failure('InvalidInput', 'The upload is empty');
    const sha256 = hash.digest('hex');
    await inventory.transaction((trx) =>
      trx.updateTable('uploads').set({ sha256, size }).where('operation', '=', operation).execute(),
    );
    return { sha256, bytes: size };
  } catch (error) {
    // Should this fail too, `sweep` takes it away.
    await inventory.transaction((trx) => remove(trx, operation)).catch(() => undefined);
    throw error;
  }
}

/** The bytes, chunk by chunk. @throws NotFound before the first chunk; Forbidden as `Keyring.open` */
export async function* read(db: Db, keyring: Keyring, operation: string): AsyncIterable<Buffer> {
  const upload = await db.selectFrom('uploads').select('sha256').where('operation', '=', operation).executeTakeFirst();
  if (!upload?.sha256) {
    throw failure('NotFound', `There is no upload for operation ${operation}`, { cause: 'it never became whole' });
  }
  for (let n = 0; ; n += 1) {
    const chunk = await db
      .selectFrom('uploadChunks')
      .select('bytes')
      .where('operation', '=', operation)
      .where('n', '=', n)
      .executeTakeFirst();
    if (!chunk) return;
    yield keyring.openBytes(chunk.bytes, context(operation, n));
  }
}

/** None is no error. */
export async function remove(trx: Trx, operation: string): Promise<void> {
  await trx.deleteFrom('uploads').where('operation', '=', operation).execute();
}

/** Removes those that began before `olderThan` (ISO-8601 UTC) and whose operation nobody asked for. Returns how many. */
export async function sweep(trx: Trx, olderThan: string): Promise<number> {
  const abandoned = trx
    .deleteFrom('uploads')
    .where('createdAt', '<', olderThan)
    .where('operation', 'not in', (asked) => asked.selectFrom('operations').select('id'));
  return Number((await abandoned.executeTakeFirst()).numDeletedRows);
}

async function create(trx: Trx, operation: string): Promise<void> {
  await remove(trx, operation);
  await trx.insertInto('uploads').values({ operation, sha256: null, size: 0, createdAt: now() }).execute();
}

async function keep(trx: Trx, keyring: Keyring, chunk: { operation: string; n: number; bytes: Buffer }): Promise<void> {
  const { operation, n } = chunk;
  const by = await noteKey(trx, keyring);
  const bytes = Buffer.from(keyring.sealBytes(chunk.bytes, context(operation, n), by));
  // Run again after a commit of unknown effect, it finds its own chunk.
  await trx
    .insertInto('uploadChunks')
    .values({ operation, n, bytes })
    .onConflict((conflict) => conflict.columns(['operation', 'n']).doNothing())
    .execute();
}

/** What it is sealed for: nothing else opens it. */
export function context(operation: string, n: number): string {
  return `upload/${operation}/${n}`;
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
