import * as renewals from '../inventory/renewals.js';
import type { Owed } from '../inventory/renewals.js';
import { renewalId } from '../inventory/renewal-tries.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { parseDomain } from './domain.js';
import type { Chom } from './open.js';
import { renewOne, renewOnRecord } from './renewals.js';
import type { Failed } from './sweep.js';

/**
 * Renews the certificate of a site now, whether it is due or not. Returns the operation, which may be at work already.
 * @throws InvalidInput; NotFound no such site; Conflict it has no certificate, or is not in service; TemporalUnavailable
 */
export async function renewCertificate(chom: Chom, domain: string): Promise<{ operation: string; site: Site }> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(domain), { tenant });
  const now = Date.now();
  const find = async (): Promise<Owed> => {
    const [owed] = await renewals.list(inventory.db, { site: site.id });
    if (owed) return owed;
    throw failure('Conflict', `Site ${site.domain} has no certificate to renew`, {
      cause: `it is ${site.status}, and no certificate of it is in service`,
      next: `chom certificate issue ${site.domain}`,
    });
  };
  await renewals.complete(inventory);
  await find();
  const temporal = await chom.temporal();
  await inventory.transaction(async (trx) => await renewals.hasten(trx, site.id, new Date(now).toISOString()));
  const operation = await renewOne({ ...chom, temporal }, await find(), now);
  // Somebody else was faster.
  return { operation: operation ?? renewalId(site.id, (await find()).tries), site };
}

/** What was asked for, and how many are left for the worker's next sweeps. */
export interface Renewing {
  operations: string[];
  left: number;
  failures: Failed[];
}

/**
 * Renews the tenant's certificates that are due, or all of them: as many as a sweep asks for, and the worker goes on with the others.
 * @throws TemporalUnavailable
 */
export async function renewCertificates(chom: Chom, { all = false }: { all?: boolean } = {}): Promise<Renewing> {
  const { tenant, inventory } = chom;
  const temporal = await chom.temporal();
  const now = Date.now();
  const at = new Date(now).toISOString();
  await renewals.complete(inventory);
  if (all) {
    await inventory.transaction(async (trx) => {
      for (const { site } of await renewals.list(trx, { tenant })) await renewals.hasten(trx, site, at);
    });
  }
  const failures: Failed[] = [];
  const operations = await renewOnRecord({ ...chom, temporal }, now, failures, tenant);
  const due = await renewals.list(inventory.db, { tenant, due: at });
  return { operations, left: Math.max(0, due.length - operations.length), failures };
}
