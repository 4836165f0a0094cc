import { failure } from '../workflows/failures.js';
import { retentionOf, type RetentionOverride, type RetentionPolicy } from '../workflows/retention-policy.js';
import { calendar } from './calendar.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as sites from './sites.js';
import * as tenants from './tenants.js';

/** By what the backups of a site are kept. */
export interface Retention {
  policy: RetentionPolicy;
  timezone: string;
  /** Null where nobody deleted the site: it exists, or went with its server. */
  siteDeletedAt: string | null;
}

/** What of a tenant's holds where a site says nothing. */
export function policyOf({ retention }: tenants.Tenant): RetentionPolicy {
  return retentionOf({}, retention);
}

/** As it is now. @throws NotFound; InvalidInput tenant and site together keep nothing */
export async function ofSite(db: Db, id: string): Promise<Retention> {
  const site = await sites.byId(db, id);
  const tenant = await tenants.byId(db, site.tenant);
  // Whose server is gone has nothing but its backups, and nobody asked for their end.
  const siteDeletedAt = site.status === 'removed' && site.deletedBy !== null ? site.updatedAt : null;
  return { policy: retentionOf(site.retention, tenant.retention), timezone: tenant.timezone, siteDeletedAt };
}

/** What a tenant's sites have where they say nothing themselves. */
export interface TenantRetention {
  /** What it says nothing of stays as it is; null: from now on the default. */
  retention?: RetentionOverride | null;
  timezone?: string;
}

/** @throws NotFound; InvalidInput it keeps nothing, for one of the sites too; there is no such timezone */
export async function setOfTenant(trx: Trx, id: string, { retention, timezone }: TenantRetention): Promise<void> {
  const tenant = await tenants.byId(trx, id);
  if (timezone !== undefined) calendar(timezone);
  const set = merged(tenant.retention, retention);
  retentionOf({}, set);
  for (const site of await sites.list(trx, { tenant: id })) refuseNothing(site, set);
  await trx
    .updateTable('tenants')
    .set({ retention: JSON.stringify(set), ...(timezone !== undefined && { timezone }) })
    .where('id', '=', id)
    .execute();
}

/** `retention` as of a tenant. @throws NotFound; Conflict it is removed; InvalidInput with the tenant's it keeps nothing */
export async function setOfSite(trx: Trx, id: string, retention: RetentionOverride | null): Promise<void> {
  const site = await sites.byId(trx, id);
  // When it was removed is the time of its last change.
  if (site.status === 'removed')
    throw failure('Conflict', `Site ${site.domain} is removed`, { next: 'chom site list' });
  const set = merged(site.retention, retention);
  refuseNothing({ ...site, retention: set }, (await tenants.byId(trx, site.tenant)).retention);
  const values = { retention: JSON.stringify(set), updatedAt: now() };
  await trx.updateTable('sites').set(values).where('id', '=', id).execute();
}

function merged(held: RetentionOverride, said: RetentionOverride | null | undefined): RetentionOverride {
  return said === null ? {} : { ...held, ...said };
}

function refuseNothing({ domain, retention }: sites.Site, tenant: RetentionOverride): void {
  try {
    retentionOf(retention, tenant);
  } catch (error) {
    throw failure('InvalidInput', `Of site ${domain} no daily, weekly or monthly backup would be kept`, {
      cause: error instanceof Error ? error.message : String(error),
      next: `chom site set ${domain} --keep-daily 7`,
    });
  }
}
