import * as certificates from '../inventory/certificates.js';
import { askAgainAfter, type RenewalWindow } from '../inventory/renewal-schedule.js';
import * as renewals from '../inventory/renewals.js';
import type { Owed } from '../inventory/renewals.js';
import * as renewalTries from '../inventory/renewal-tries.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { certificatePlan, type CertificatePlan } from '../workflows/plans.js';
import { submit, type Request, type Submitter } from './submit.js';
import type { Failed } from './sweep.js';

/** What an authority says of when a certificate is to be renewed; null: it offers no such thing. */
export type AskAuthority = (certificate: {
  chain: string;
  authority: string | null;
}) => Promise<{ window: RenewalWindow; explanation: string | null; retryAfterSeconds: number | null } | null>;

/** In one sweep so many are asked for: Let's Encrypt takes 300 orders in 3 hours (letsencrypt.org/docs/rate-limits, 2026-08-05). */
const TRIES_AT_ONCE = 20;
/** And an authority is asked for so many windows. */
const QUESTIONS_AT_ONCE = 30;
/** Whoever takes a question on himself has so long; then another one asks. */
const QUESTION_MS = 600_000;

/**
 * Asks for an operation for each certificate that is due for renewal and that no try is at work on; the soonest to end first. However
 * many sweep at once, a try is asked for once. Returns the ids of the tries; what cannot be tried is added to `failures`. `tenant`:
 * of that one alone.
 */
export async function renewDue(
  chom: Submitter,
  now: number,
  failures: Failed[] = [],
  tenant?: string,
): Promise<string[]> {
  await renewals.complete(chom.inventory);
  return await renewOnRecord(chom, now, failures, tenant);
}

/** The same for those whose row is there. */
export async function renewOnRecord(
  chom: Submitter,
  now: number,
  failures: Failed[] = [],
  tenant?: string,
): Promise<string[]> {
  const { inventory, config } = chom;
  const hasFallback = config.acmeFallbackDirectory !== undefined;
  const of = tenant === undefined ? {} : { tenant };
  const due = await renewals.list(inventory.db, { ...of, due: new Date(now).toISOString() });
  const tried: string[] = [];
  for (const owed of due.filter((one) => renewalTries.isDue(one, now, hasFallback))) {
    if (tried.length === TRIES_AT_ONCE) break;
    try {
      const id = await renewOne(chom, owed, now);
      if (id !== null) tried.push(id);
    } catch (error) {
      failures.push({ what: `Renew the certificate of ${owed.domain}`, error });
    }
  }
  return tried;
}

/** Asks for the next try, at `now` (milliseconds). Null: one is at work on it. */
export async function renewOne(chom: Submitter, owed: Owed, now: number): Promise<string | null> {
  const { inventory, config } = chom;
  const fallback = config.acmeFallbackDirectory !== undefined && renewalTries.prefersFallback(owed, now);
  const emergency = renewalTries.isEmergency(owed, now);
  const request = await requestOf(chom, owed, { certificate: owed.certificate, emergency, fallback });
  const id = await inventory.transaction(async (trx) => await renewalTries.next(trx, owed, fallback));
  return id === null ? null : await submit(chom, request, id);
}

/** Tells of certificates that come near their end. Returns their sites. */
export async function warnOfExpiry({ inventory }: Pick<Submitter, 'inventory'>, now: number): Promise<string[]> {
  const at = new Date(now).toISOString();
  if ((await renewals.list(inventory.db, { warn: at, limit: 1 })).length === 0) return [];
  return await inventory.transaction(async (trx) => await renewals.warn(trx, now));
}

/**
 * Asks authorities when their certificates are to be renewed, those whose turn it is. An answer that does not come costs nothing
 * but time: the schedule is CHOM's own then. Returns the sites of which one came.
 */
export async function askWindows(
  { inventory }: Pick<Submitter, 'inventory'>,
  now: number,
  ask: AskAuthority,
  failures: Failed[] = [],
): Promise<string[]> {
  const at = new Date(now).toISOString();
  const until = new Date(now + QUESTION_MS).toISOString();
  const mine: Owed[] = [];
  for (const owed of await renewals.list(inventory.db, { ask: at, limit: QUESTIONS_AT_ONCE })) {
    if (await inventory.transaction(async (trx) => await renewals.claimAsking(trx, owed, until))) mine.push(owed);
  }
  const asked = mine.map(async (owed) => {
    try {
      const { chain } = await certificates.byId(inventory.db, owed.certificate);
      return { owed, answer: await ask({ chain, authority: owed.authority }), came: true };
    } catch (error) {
      failures.push({ what: `Ask when to renew the certificate of ${owed.domain}`, error });
      return { owed, answer: null, came: false };
    }
  });
  const answered: string[] = [];
  for (const { owed, answer, came } of await Promise.all(asked)) {
    const wait = askAgainAfter(answer?.retryAfterSeconds ?? null, came);
    // Without an answer, what was said before holds.
    const window = came ? (answer?.window ?? null) : renewals.windowOf(owed);
    const explanation = came ? (answer?.explanation ?? null) : owed.explanation;
    const said = { window, explanation, askAt: new Date(now + wait).toISOString() };
    await inventory.transaction(async (trx) => await renewals.recordWindow(trx, owed, said));
    if (answer) answered.push(owed.site);
  }
  return answered;
}

async function requestOf(
  { inventory }: Submitter,
  owed: Owed,
  renewal: NonNullable<CertificatePlan['renewal']>,
): Promise<Request> {
  const { id: site, tenant, domain, aliases, server } = await sites.byId(inventory.db, owed.site);
  const { name: serverName } = await servers.byId(inventory.db, server);
  const input = certificatePlan.parse({ site, tenant, server, serverName, names: [domain, ...aliases], renewal });
  const summary = `Renew the certificate of ${domain}`;
  const priority = renewal.emergency ? 'high' : 'low';
  return { kind: 'issue-certificate', input, summary, priority, tenant, server, serverName, site, domain };
}
