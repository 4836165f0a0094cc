import { pairStands } from '../host/certificate.js';
import { askNginxFacts, parseNginxFacts, publishSite } from '../host/nginx-site.js';
import * as certificates from '../inventory/certificates.js';
import * as sites from '../inventory/sites.js';
import type { RepairPlan } from '../workflows/plans.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import type { Workplace } from './workplace.js';

/** How a site is published. */
export interface Publication {
  /** By this its configuration is known when it answers. */
  version: string;
  /** It answers over HTTPS. */
  certificate: boolean;
  /** A certificate is on record, and on the server no more. */
  certificateLost: boolean;
}

/** What visitors see. */
export type Page = 'site' | 'maintenance' | 'suspended';

/**
 * Publishes a live site as it is on record, suspended or not, or another page; without TLS where its certificate or key is gone, for
 * nginx would not start. @throws ConfigurationRejected, HostConfigurationBroken, Conflict, ProbeFailed
 */
export async function publishAsRecorded(
  { inventory }: Pick<Deps, 'inventory'>,
  place: Workplace,
  plan: RepairPlan,
  { page, aliases }: { page?: Page; aliases?: string[] } = {},
): Promise<Publication> {
  const recorded = (await certificates.installed(inventory.db, plan.site)) !== null;
  const certificate = recorded && (await place.read(pairStands(plan.site))).exit === 0;
  const facts = parseNginxFacts(await ask(place, 'Asking nginx for its version', askNginxFacts()));
  // Of a plan that waited in line the aliases may have been changed.
  const site = await sites.byId(inventory.db, plan.site);
  const shown = page ?? (site.status === 'suspended' ? 'suspended' : 'site');
  const closed = { maintenance: shown === 'maintenance', suspended: shown === 'suspended' };
  const publishing = publishSite({ ...plan, aliases: aliases ?? site.aliases, certificate, ...closed }, facts);
  await change(place, 'publish', `Publishing ${plan.domain}`, publishing);
  return { version: publishing.version, certificate, certificateLost: recorded && !certificate };
}
