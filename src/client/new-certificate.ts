import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { certificatePlan } from '../workflows/plans.js';
import { askFor, type Asking } from './ask-for.js';
import { parseDomain } from './domain.js';
import type { Chom } from './open.js';

/**
 * Asks for a certificate for a live site, over its domain and aliases. `force`: also where the one that it has is not due.
 * @throws InvalidInput; NotFound no such site; Conflict the site is not live, or its server is gone; Busy; TemporalUnavailable
 */
export async function issueCertificate(
  chom: Chom,
  domain: string,
  { wait = true, operation: id, force = false }: Asking & { force?: boolean } = {},
): Promise<{ operation: string; site: Site }> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(domain), { tenant });
  if (!sites.isLive(site)) {
    throw failure('Conflict', `Site ${site.domain} is ${site.status}`, {
      cause: 'a certificate is issued for a site that is live',
      next: `chom site show ${site.domain}`,
    });
  }
  const { id: server, name: serverName, status } = await servers.byId(inventory.db, site.server);
  if (status === 'removed') {
    throw failure('Conflict', `Site ${site.domain} has no server`, {
      server: serverName,
      cause: `${serverName}, which it was made on, was removed`,
      next: `chom site show ${site.domain}`,
    });
  }
  const names = [site.domain, ...site.aliases];
  const plan = certificatePlan.parse({ site: site.id, tenant, server, serverName, names, ...(force && { force }) });
  const operation = await askFor(
    chom,
    {
      kind: 'issue-certificate',
      input: plan,
      summary: `Issue a certificate for ${site.domain}`,
      tenant,
      server,
      serverName,
      site: site.id,
      domain: site.domain,
      wait,
    },
    id,
  );
  return { operation, site };
}
