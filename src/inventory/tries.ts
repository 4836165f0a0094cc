import { isAway, isFailureType, RETRYABLE } from '../workflows/failures.js';
import { SITE_REMOVAL } from '../workflows/deletion-plan.js';
import { UNDO } from '../workflows/plans.js';
import { OLD_KEY } from '../workflows/rotation-plan.js';
import { OLD_PASSWORD } from '../workflows/storage-rotation-plan.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as obligations from './obligations.js';
import type { Obligation } from './obligations.js';
import type { Outcome } from './schema.js';

/** After so many tries nobody tries again by himself; each that failed has raised its alert. */
const MOST_TRIES = 10;

/** Between tries, doubling. */
interface Pauses {
  firstMs: number;
  longestMs: number;
}
const PAUSES: Pauses = { firstMs: 3_600_000, longestMs: 24 * 3_600_000 };
/** What lies on a server half-built, or deleted, is not left there a day longer than that is away. */
const PAUSES_OF_UNDO: Pauses = { firstMs: 300_000, longestMs: 6 * 3_600_000 };

/** However much later the other side wants it. */
const LATEST_MS = 7 * 24 * 3_600_000;

/** The operation that is the `n`th try of what another one owes. */
export function tryId({ operation, name }: { operation: string; name: string }, n: number): string {
  return `obligation/${operation}/${name}/${n}`;
}

/** What an operation tries to do that another one owes; null when it is no try. */
export function triedBy(id: string): { operation: string; name: string; n: number } | null {
  const [, operation, name, n] = /^obligation\/(.+)\/([a-z0-9-]+)\/(\d+)$/.exec(id) ?? [];
  return operation !== undefined && name !== undefined ? { operation, name, n: Number(n) } : null;
}

/**
 * The id under which what is owed is to be asked for now, or null. A try is counted by whoever is first, and only once the
 * one before has ended without success; where one was counted and its asker died, its id is returned again.
 * `at` is ISO-8601 UTC.
 */
export async function next(trx: Trx, owed: Obligation, at: string): Promise<string | null> {
  const { operation, name, tries } = owed;
  if (tries > 0) {
    const last = tryId(owed, tries);
    const row = await trx.selectFrom('operations').select('outcome').where('id', '=', last).executeTakeFirst();
    if (!row) return last;
    if (row.outcome === null || row.outcome === 'succeeded') return null;
  }
  const { numUpdatedRows } = await trx
    .updateTable('obligations')
    .set({ tries: tries + 1 })
    .where('operation', '=', operation)
    .where('name', '=', name)
    .where('state', '=', 'open')
    .where('tries', '=', tries)
    .where('due', '<=', at)
    .executeTakeFirst();
  return numUpdatedRows > 0n ? tryId(owed, tries + 1) : null;
}

/** Whether what this operation tries is owed no more; false when it is no try. */
export async function isVoid(db: Db, id: string): Promise<boolean> {
  const tried = triedBy(id);
  return tried !== null && (await obligations.find(db, tried))?.state !== 'open';
}

/**
 * In the transaction that writes an operation's outcome: what it tried is done with its success and void with its
 * cancellation; after a failure it is due again, unless trying again cannot help or was done often enough.
 */
export async function conclude(
  trx: Trx,
  id: string,
  ending: { outcome: Outcome; failureType?: string | null; details?: { retryAfterSeconds?: number } | null },
): Promise<void> {
  const tried = triedBy(id);
  if (!tried) return;
  if (ending.outcome === 'succeeded') return void (await obligations.close(trx, tried, 'done'));
  const type = isFailureType(ending.failureType) ? ending.failureType : 'Unexpected';
  const undo = tried.name === UNDO || tried.name === SITE_REMOVAL;
  // What an undo meets an operator may mend; and however long its server is away, it lies there still.
  // A server that knows newer things than a restored inventory lets it in once it was adopted.
  const stale = type === 'StaleClaim';
  // A key that was replaced lets somebody in for as long as it stays: whatever keeps it there may be mended.
  const key = tried.name === OLD_KEY || tried.name === OLD_PASSWORD;
  const helps = ending.outcome === 'failed' && (undo || key || stale || RETRYABLE[type] || isAway(type));
  const often = tried.n >= MOST_TRIES && !(undo && isAway(type)) && !(key && (isAway(type) || type === 'NotBackedUp'));
  if (!helps || often) return void (await obligations.close(trx, tried, 'void'));
  const { firstMs, longestMs } = undo ? PAUSES_OF_UNDO : PAUSES;
  const pause = Math.min(longestMs, firstMs * 2 ** (tried.n - 1));
  const asked = Math.min(LATEST_MS, (ending.details?.retryAfterSeconds ?? 0) * 1000);
  await obligations.postpone(trx, tried, new Date(Date.parse(now()) + Math.max(pause, asked)).toISOString());
}
