import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';
import * as sites from './sites.js';

/** @throws Conflict it is suspended already, or not in service */
export function expectActive({ domain, status }: sites.Site): void {
  if (status === 'active') return;
  const suspended = status === 'suspended';
  throw failure('Conflict', `Site ${domain} is ${status}${suspended ? ' already' : ''}`, {
    cause: 'what is suspended is a site in service',
    next: suspended ? `chom site resume ${domain}` : `chom site show ${domain}`,
  });
}

/** @throws Conflict it is not suspended */
export function expectSuspended({ domain, status }: sites.Site): void {
  if (status === 'suspended') return;
  throw failure('Conflict', `Site ${domain} is ${status}, and not suspended`, { next: `chom site show ${domain}` });
}

/** From here on the site is `suspended`. The same again changes nothing. @throws Conflict it is not in service */
export async function begin(trx: Trx, id: string, reason: string | null): Promise<void> {
  const site = await sites.byId(trx, id);
  if (site.status === 'suspended') return;
  expectActive(site);
  const at = now();
  const values = { suspendedAt: at, suspendedReason: reason, updatedAt: at };
  await trx.updateTable('sites').set(values).where('id', '=', id).execute();
}

/** It is in service again. The same again changes nothing. @throws Conflict it is not suspended */
export async function end(trx: Trx, id: string): Promise<void> {
  const site = await sites.byId(trx, id);
  if (site.status === 'active') return;
  expectSuspended(site);
  const values = { suspendedAt: null, suspendedReason: null, updatedAt: now() };
  await trx.updateTable('sites').set(values).where('id', '=', id).execute();
}
