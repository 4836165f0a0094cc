import type { Selectable } from 'kysely';
import type { Certificate } from './certificates.js';
import { now } from './clock.js';
import type { Db, Inventory, Trx } from './database.js';
import { expiryStage, nextStage, type RenewalWindow, scheduledFor } from './renewal-schedule.js';
import { warnOf } from './renewal-warnings.js';
import type { RenewalsTable } from './schema.js';

/** What a site owes of its certificate: that it is renewed. */
export type Renewal = Selectable<RenewalsTable>;

/** A renewal with what decides about it. */
export interface Owed extends Renewal {
  tenant: string;
  server: string;
  domain: string;
  fingerprint: string;
  notBefore: string;
  notAfter: string;
  authority: string | null;
}

/** In the transaction in which a certificate becomes a site's: from now on this one is to be renewed. */
export async function begin(
  trx: Trx,
  {
    id,
    site,
    fingerprint,
    notBefore,
    notAfter,
  }: Pick<Certificate, 'id' | 'site' | 'fingerprint' | 'notBefore' | 'notAfter'>,
): Promise<void> {
  const life = { notBefore, notAfter };
  const scheduled = scheduledFor(life, null, fingerprint);
  const due = iso(scheduled);
  // What was reached already is told at once.
  const warnAt = isoOrNull(nextStage(life, scheduled, Date.parse(notBefore)));
  const fresh = {
    ...{ certificate: id, due, heldUntil: null, fallback: 0 as const, failures: 0, failingSince: null, failedAt: null },
    ...{ failureType: null, reason: null, windowStart: null, windowEnd: null, explanation: null },
    ...{ askAt: now(), warnAt },
  };
  await trx
    .insertInto('renewals')
    .values({ site, ...fresh })
    .onConflict((conflict) => conflict.column('site').doUpdateSet(fresh))
    .execute();
}

/**
 * Sees to it that each certificate in service has its row, also one that is older than these rows or came from a copy of the
 * inventory. Returns the sites that got one.
 */
export async function complete(inventory: Inventory): Promise<string[]> {
  // Mostly none is lacking, and nothing is to be written.
  if ((await lacking(inventory.db)).length === 0) return [];
  return await inventory.transaction(async (trx) => {
    const all = await lacking(trx);
    for (const certificate of all) await begin(trx, certificate);
    return all.map(({ site }) => site);
  });
}

async function lacking(db: Db) {
  return await db
    .selectFrom('certificates')
    .innerJoin('sites', 'sites.id', 'certificates.site')
    .leftJoin('renewals', 'renewals.site', 'certificates.site')
    .select(['certificates.id', 'certificates.site', 'fingerprint', 'notBefore', 'notAfter'])
    .where('certificates.state', '=', 'installed')
    .where('sites.status', 'not in', OUT_OF_SERVICE)
    .where((row) =>
      row.or([row('renewals.site', 'is', null), row('renewals.certificate', '<>', row.ref('certificates.id'))]),
    )
    .orderBy('certificates.site')
    .execute();
}

/** Sites in these states are not visited, or have no server. */
const OUT_OF_SERVICE = ['provisioning', 'failed', 'removed'] as const;

/** What of the renewals of all certificates in service is wanted; times are ISO-8601 UTC. */
export interface RenewalFilter {
  tenant?: string;
  site?: string;
  /** Whose next try is not later. */
  due?: string;
  /** Whose authority is to be asked by then. */
  ask?: string;
  /** Of which something is to be told by then. */
  warn?: string;
  limit?: number;
}

/** The soonest to end first. */
export async function list(db: Db, filter: RenewalFilter = {}): Promise<Owed[]> {
  let query = db
    .selectFrom('renewals')
    .innerJoin('sites', 'sites.id', 'renewals.site')
    .innerJoin('servers', 'servers.id', 'sites.server')
    .innerJoin('certificates', 'certificates.id', 'renewals.certificate')
    .selectAll('renewals')
    .select(['sites.tenant', 'sites.server', 'sites.domain', 'fingerprint', 'notBefore', 'notAfter', 'authority'])
    .where('certificates.state', '=', 'installed')
    .where('sites.status', 'not in', OUT_OF_SERVICE)
    .where('servers.status', '<>', 'removed');
  if (filter.tenant !== undefined) query = query.where('sites.tenant', '=', filter.tenant);
  if (filter.site !== undefined) query = query.where('renewals.site', '=', filter.site);
  if (filter.due !== undefined) query = query.where('renewals.due', '<=', filter.due);
  if (filter.ask !== undefined) query = query.where('renewals.askAt', '<=', filter.ask);
  if (filter.warn !== undefined) query = query.where('renewals.warnAt', '<=', filter.warn);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return await query.orderBy('notAfter').orderBy('renewals.site').execute();
}

/** When the next try is, ISO-8601 UTC; null: it was given up. */
export function nextTry({ due, heldUntil }: Pick<Renewal, 'due' | 'heldUntil'>): string | null {
  return due !== null && heldUntil !== null && heldUntil > due ? heldUntil : due;
}

/** It is to be tried now, also where it was given up. `at` is ISO-8601 UTC. */
export async function hasten(trx: Trx, site: string, at: string): Promise<void> {
  await trx.updateTable('renewals').set({ due: at, heldUntil: null }).where('site', '=', site).execute();
}

/** Whether its authority says by now that a site's certificate is to be replaced, as it does of one that it has revoked. */
export async function isAdvised(db: Db, site: string): Promise<boolean> {
  const [owed] = await list(db, { site });
  return owed !== undefined && owed.windowStart !== null && owed.windowStart <= now();
}

/** The authority's window, where it has told one. */
export function windowOf({ windowStart, windowEnd }: Pick<Renewal, 'windowStart' | 'windowEnd'>): RenewalWindow | null {
  return windowStart === null || windowEnd === null ? null : { start: windowStart, end: windowEnd };
}

/**
 * Takes it on oneself to ask the authority for a certificate's window, and to have an answer before `until` (ISO-8601 UTC); false
 * where somebody else has.
 */
export async function claimAsking(trx: Trx, { site, certificate, askAt }: Renewal, until: string): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('renewals')
    .set({ askAt: until })
    .where('site', '=', site)
    .where('certificate', '=', certificate)
    .where('askAt', '=', askAt)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/**
 * What the authority said of when to renew; null: nothing. The next try is when that says, unless it is due already or one failed.
 * `askAt`: when it is asked again, ISO-8601 UTC.
 */
export async function recordWindow(
  trx: Trx,
  owed: Owed,
  { window, explanation, askAt }: { window: RenewalWindow | null; explanation: string | null; askAt: string },
): Promise<void> {
  const scheduled = scheduledFor(owed, window, owed.fingerprint);
  const due = iso(scheduled);
  const warnAt = isoOrNull(nextStage(owed, scheduled, Date.parse(now())));
  await trx
    .updateTable('renewals')
    .set((row) => ({
      windowStart: window?.start ?? null,
      windowEnd: window?.end ?? null,
      explanation,
      askAt,
      // What is reached by now is told first.
      warnAt: row.case().when('warnAt', '<=', now()).then(row.ref('warnAt')).else(warnAt).end(),
      due: row
        .case()
        .when(row.and([row('failures', '=', 0), row('due', '>', now())]))
        .then(due)
        .else(row.ref('due'))
        .end(),
    }))
    .where('site', '=', owed.site)
    .where('certificate', '=', owed.certificate)
    .execute();
}

/**
 * Tells of those that come near their end, also where nobody has tried them: that is itself what is wrong then. Returns their
 * sites. `at`: milliseconds.
 */
export async function warn(trx: Trx, at: number): Promise<string[]> {
  const near = await list(trx, { warn: iso(at) });
  const told: string[] = [];
  for (const owed of near) {
    const scheduled = scheduledFor(owed, windowOf(owed), owed.fingerprint);
    const stage = expiryStage(owed, scheduled, at);
    // Of those that fail, each try has told.
    if (stage !== null && !(stage === 'overdue' && owed.failures > 0)) {
      await warnOf(trx, owed, stage);
      told.push(owed.site);
    }
    await put(trx, owed, { warnAt: isoOrNull(nextStage(owed, scheduled, at)) });
  }
  return told;
}

/** Writes into the row of a renewal, as long as it is about the same certificate. */
export async function put(trx: Trx, { site, certificate }: Renewal, change: Partial<Renewal>): Promise<void> {
  const mine = trx.updateTable('renewals').set(change).where('site', '=', site);
  await mine.where('certificate', '=', certificate).execute();
}

function isoOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : iso(milliseconds);
}

export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
