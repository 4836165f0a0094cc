import type { Db } from '../inventory/database.js';
import * as certificates from '../inventory/certificates.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as retentions from '../inventory/retentions.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import type { Site } from '../inventory/sites.js';
import { hasTags } from '../inventory/tags.js';
import { failure } from '../workflows/failures.js';
import { certificateDocument } from './certificate-document.js';
import type { SiteDocument } from './documents/site.js';
import type { Told } from './follow.js';
import { describePolicy } from './keep-options.js';
import type { Chom } from './open.js';
import { describeOwed, obligationDocument, operationDocument, statusOf } from './operation.js';
import { tagColumn } from './tag-column.js';
import { facts, table } from './text.js';

/** Which are listed: those of one server, and those that have all of these tags. */
export interface ListedSites {
  server?: string | undefined;
  tags?: readonly string[] | undefined;
}

/** The tenant's sites. @throws NotFound no such server */
export async function listSites(
  { tenant, inventory }: Chom,
  { server: name, tags = [] }: ListedSites = {},
): Promise<{ document: { sites: SiteDocument[] }; text: string }> {
  const server = name === undefined ? null : await servers.byName(inventory.db, tenant, name);
  const all = await sites.list(inventory.db, { tenant, ...(server && { server: server.id }) });
  const found = all.filter((site) => hasTags(site, tags));
  const names = new Map((await servers.list(inventory.db, { tenant })).map((one) => [one.id, one.name]));
  const named = (site: Site) => names.get(site.server) ?? site.server;
  const column = tagColumn(found);
  const rows = found.map((site) => [
    ...[site.domain, site.status, typeOf(site), named(site), site.aliases.join(' ')],
    ...column.of(site),
  ]);
  const heading = ['DOMAIN', 'STATUS', 'TYPE', 'SERVER', 'ALIASES', ...column.heading];
  const text = found.length === 0 ? '' : table(heading, rows);
  return { document: { sites: found.map((site) => siteDocument(site, named(site))) }, text };
}

/** A site, its certificate and its last operation. `domain`: its name in DNS, or an alias. @throws NotFound */
export async function showSite({ tenant, inventory }: Chom, domain: string): Promise<Told> {
  const site = await lookUp(inventory.db, tenant, domain);
  const [last] = await operations.list(inventory.db, { site: site.id, limit: 1 });
  const told = await tellSite(inventory.db, site);
  const lastLine = facts([['last operation', last && `${last.id} (${statusOf(last)}, ${last.askedAt})`]]);
  const lastOperation = last ? operationDocument(last) : null;
  return { document: { ...told.document, lastOperation }, text: [told.text, lastLine].filter(Boolean).join('\n') };
}

/** The site that holds a name, or the last one that had it as its domain and failed. @throws NotFound */
async function lookUp(db: Db, tenant: string, domain: string): Promise<Site> {
  const all = await sites.list(db, { tenant });
  const site =
    all.find((one) => one.domain === domain && one.status !== 'failed') ?? all.find((one) => one.domain === domain);
  if (site) return site;
  const holder = all.find((one) => one.status !== 'failed' && one.aliases.includes(domain));
  if (holder) return holder;
  throw failure('NotFound', `There is no site ${domain}`, { next: 'chom site list' });
}

/** A site with the certificate that it serves. */
export async function tellSite(db: Db, site: Site): Promise<Told> {
  const { name } = await servers.byId(db, site.server);
  const certificate = await certificates.installed(db, site.id);
  const owed = await obligations.stillOpen(db, { site: site.id });
  const { policy } = await retentions.ofSite(db, site.id);
  const text = facts([
    ['site', site.domain],
    ['id', site.id],
    ['status', site.status],
    ['suspended', site.suspendedAt && [`since ${site.suspendedAt}`, site.suspendedReason].filter(Boolean).join(': ')],
    ['url', `${certificate ? 'https' : 'http'}://${site.domain}/`],
    ['aliases', site.aliases.join(', ')],
    ['tags', site.tags.join(', ')],
    ['type', typeOf(site)],
    ['database', site.databaseName && `${site.databaseName}, by the socket as ${site.databaseName}`],
    ['server', name],
    [
      'certificate',
      certificate ? `until ${certificate.notAfter}, by ${certificate.issuer}` : site.tls ? 'none yet' : 'none wanted',
    ],
    ['backups kept', describePolicy(policy)],
    ['owed', describeOwed(owed)],
  ]);
  const document = {
    site: siteDocument(site, name),
    certificate: certificate && certificateDocument(certificate),
    obligations: owed.map(obligationDocument),
    retention: policy,
  };
  return { document, text };
}

function siteDocument(site: Site, server: string): SiteDocument {
  const { id, domain, aliases, type, php, databaseName: database, tls, status, tags, createdAt } = site;
  const { suspendedAt, suspendedReason } = site;
  const suspended = suspendedAt === null ? null : { since: suspendedAt, reason: suspendedReason };
  return { id, domain, aliases, type, php, database, server, tls, status, suspended, tags, createdAt };
}

function typeOf({ type, php }: Site): string {
  return php === null ? type : `${type} ${php}`;
}
