import type { Server } from '../inventory/servers.js';
import type { Site } from '../inventory/sites.js';

/** A site and its server, as every plan names them. */
export function namedSite(
  { id, tenant, domain, type, php, databaseName }: Site,
  { id: server, name: serverName }: Pick<Server, 'id' | 'name'>,
) {
  return { site: id, tenant, server, serverName, domain, type, php, database: databaseName !== null };
}

/** The same with its other names and TLS: as whoever publishes it needs it. */
export function recordedSite(site: Site, server: Pick<Server, 'id' | 'name'>) {
  return { ...namedSite(site, server), aliases: site.aliases, tls: site.tls };
}
