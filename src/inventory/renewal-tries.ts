import { isFailureType } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';
import { emergencyAt, givesUp, holdFor, pauseAfter, scheduledFor } from './renewal-schedule.js';
import { warnOf } from './renewal-warnings.js';
import { iso, list, type Owed, put, type Renewal, windowOf } from './renewals.js';
import type { Outcome } from './schema.js';

const DAY_MS = 24 * 3_600_000;

/** The operation that is the `n`th try to renew a site's certificate; `n` is never used again. */
export function renewalId(site: string, n: number): string {
  return `renewal/${site}/${n}`;
}

/** What an operation tries to renew; null when it is no such try. */
export function renewedBy(id: string): { site: string; n: number } | null {
  const [, site, n] = /^renewal\/([a-z0-9]+)\/(\d+)$/.exec(id) ?? [];
  return site !== undefined && n !== undefined ? { site, n: Number(n) } : null;
}

/** Whether less than a twentieth of its lifetime is left at `at` (milliseconds). */
export function isEmergency(life: { notBefore: string; notAfter: string }, at: number): boolean {
  return at >= emergencyAt(life);
}

/**
 * Whether it is to be tried at `at` (milliseconds). An authority that wants to be left alone is, but for an emergency in which there
 * is another one.
 */
export function isDue(owed: Owed, at: number, hasFallback: boolean): boolean {
  if (owed.due === null || Date.parse(owed.due) > at) return false;
  return !isHeld(owed, at) || (hasFallback && isEmergency(owed, at));
}

/** Whether its authority wants to be left alone at `at` (milliseconds). */
export function isHeld({ heldUntil }: Pick<Renewal, 'heldUntil'>, at: number): boolean {
  return heldUntil !== null && Date.parse(heldUntil) > at;
}

/** In an emergency, and once one failed, the two authorities take turns; one that wants to be left alone is passed over. */
export function prefersFallback(owed: Owed, at: number): boolean {
  if (!isEmergency(owed, at) || owed.failures === 0) return false;
  return isHeld(owed, at) || owed.fallback === 0;
}

/**
 * The id under which a renewal is to be asked for, or null where a try is at work on it. Whoever is first counts it, and only once
 * the one before has ended; where one was counted and its asker died, its id is returned again. `fallback`: at the other authority.
 */
export async function next(trx: Trx, owed: Owed, fallback: boolean): Promise<string | null> {
  const { site, certificate, tries } = owed;
  if (tries > 0) {
    const last = renewalId(site, tries);
    const row = await trx.selectFrom('operations').select('outcome').where('id', '=', last).executeTakeFirst();
    if (!row) return last;
    if (row.outcome === null) return null;
  }
  const { numUpdatedRows } = await trx
    .updateTable('renewals')
    .set({ tries: tries + 1, fallback: fallback ? 1 : 0 })
    .where('site', '=', site)
    .where('certificate', '=', certificate)
    .where('tries', '=', tries)
    .executeTakeFirst();
  return numUpdatedRows > 0n ? renewalId(site, tries + 1) : null;
}

/**
 * In the transaction that writes an operation's outcome: a try that failed is followed by another one, later each time, for 30
 * days at least; after one that a person cancelled in a day. A certificate that was recorded has written its own row before.
 */
export async function conclude(
  trx: Trx,
  id: string,
  ending: {
    outcome: Outcome;
    failureType?: string | null;
    reason?: string | null;
    details?: { retryAfterSeconds?: number } | null;
  },
): Promise<void> {
  const tried = renewedBy(id);
  if (!tried) return;
  const [owed] = await list(trx, { site: tried.site });
  if (!owed || owed.tries !== tried.n) return;
  const at = Date.parse(now());
  const scheduled = scheduledFor(owed, windowOf(owed), owed.fingerprint);
  if (ending.outcome !== 'failed') {
    // It found nothing to do, or nobody wants it now: never again at once.
    if (owed.due !== null && Date.parse(owed.due) <= at)
      await put(trx, owed, { due: iso(Math.max(scheduled, at + DAY_MS)) });
    return;
  }
  const failures = owed.failures + 1;
  const failingSince = owed.failingSince ?? iso(at);
  const asked = ending.details?.retryAfterSeconds;
  const failed = {
    ...{ failures, failingSince, failedAt: iso(at), reason: ending.reason ?? null },
    failureType: isFailureType(ending.failureType) ? ending.failureType : 'Unexpected',
    // What the other authority asks for is no word of this one.
    ...(owed.fallback === 0 && { heldUntil: asked === undefined ? null : iso(at + holdFor(asked)) }),
  };
  if (givesUp(owed, Date.parse(failingSince), at)) {
    await put(trx, owed, { ...failed, due: null });
    return await warnOf(trx, owed, 'given-up');
  }
  const again = at + pauseAfter(failures, owed, at, owed.fingerprint);
  await put(trx, owed, { ...failed, due: iso(Math.max(scheduled, again)) });
}
