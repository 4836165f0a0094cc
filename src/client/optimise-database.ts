import { serverOf } from '../inventory/in-service.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { optimisationPlan } from '../workflows/optimisation-plan.js';
import { type Asking, askFor } from './ask-for.js';
import { parseDomain } from './domain.js';
import type { Chom } from './open.js';

/**
 * Asks for the database of a site to be kept in order, when nothing more urgent is asked of its server.
 * @throws InvalidInput; NotFound no such site; Conflict it is not in service, or has no database; Busy; TemporalUnavailable
 */
export async function optimiseDatabase(chom: Chom, text: string, { wait, operation }: Asking = {}): Promise<string> {
  const { tenant, inventory } = chom;
  const site = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  const { id, domain, databaseName, status } = site;
  if (!sites.isLive(site) || databaseName === null) {
    const why = databaseName === null ? 'has no database' : `is ${status}`;
    throw failure('Conflict', `Site ${domain} ${why}`, { next: `chom site show ${domain}` });
  }
  const { id: server, name: serverName } = await serverOf(inventory.db, site);
  const input = optimisationPlan.parse({ tenant, server, serverName, site: id, domain });
  const what = { kind: 'optimise-database', input, summary: `Optimise the database of ${domain}` } as const;
  const where = { tenant, server, serverName, site: id, domain, priority: 'low' } as const;
  return await askFor(chom, { ...what, ...where, ...(wait !== undefined && { wait }) }, operation);
}

/** The sites with a database that are in service, by domain; `server`: on that one alone. */
export async function sitesWithDatabase({ inventory, tenant }: Chom, server?: string): Promise<sites.Site[]> {
  const all = await sites.list(inventory.db, { tenant, ...(server !== undefined && { server }) });
  return all.filter((site) => sites.isLive(site) && site.databaseName !== null);
}
