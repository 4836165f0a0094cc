import { createHash } from 'node:crypto';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';

/** A request under a key that its sender chose, so that sending it again is sending it once. */
export interface KeyedRequest {
  /** Id of the token that it came with: keys of one are nothing to another. */
  token: string;
  /** As it was sent: 1 to 200 characters. */
  key: string;
  /** All that was asked: another request under the same key is refused. */
  content: string;
}

/** How long a key is remembered. */
const KEPT_MS = 30 * 24 * 3600 * 1000;

/**
 * The operation that a key stands for: `operation` at its first use, and the same ever after.
 * @throws InvalidInput the key was used for another request
 */
export async function reserve(trx: Trx, request: KeyedRequest, operation: string): Promise<string> {
  const { token } = request;
  const keySha256 = sha256(request.key);
  const fingerprint = sha256(request.content);
  await trx
    .deleteFrom('apiRequests')
    .where('at', '<', new Date(Date.now() - KEPT_MS).toISOString())
    .execute();
  await trx
    .insertInto('apiRequests')
    .values({ token, keySha256, fingerprint, operation, at: now() })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  const row = await trx
    .selectFrom('apiRequests')
    .selectAll()
    .where('token', '=', token)
    .where('keySha256', '=', keySha256)
    .executeTakeFirstOrThrow();
  if (row.fingerprint !== fingerprint) {
    throw failure('InvalidInput', 'The Idempotency-Key was used for another request', {
      cause: 'a key stands for one request, word for word',
      next: 'send what is new under a new key',
    });
  }
  return row.operation;
}

/** The request led to another operation than was reserved: one that was at work already. */
export async function settle(trx: Trx, { token, key }: KeyedRequest, operation: string): Promise<void> {
  const row = trx.updateTable('apiRequests').set({ operation }).where('token', '=', token);
  await row.where('keySha256', '=', sha256(key)).execute();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
