import { examineSite, parseSiteExamination } from '../host/site-examination.js';
import * as certificates from '../inventory/certificates.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { Report } from '../workflows/inspection.js';
import { backupFindings } from './backup-findings.js';
import type { Deps } from './deps.js';
import { examined, serverReport } from './server-report.js';
import { isServed, siteFindings } from './site-findings.js';
import { lookFromOutside, type SeenSite } from './site-outside.js';

/**
 * Looking at servers and sites, without an operation: nothing is written, on a host or here, so there is no claim, fence
 * or attempt. What keeps it from looking is a finding too.
 */
export function inspectionActivities(deps: Deps) {
  const { inventory } = deps;

  return {
    /** @throws NotFound */
    async examineServer(id: string): Promise<Report> {
      // A connection that is open already says nothing of who gets in now, nor of the host key.
      const { findings } = await serverReport(deps, id, async () => await deps.hosts.withKey(id));
      return { findings };
    },

    /** @throws NotFound; Conflict the site is not live */
    async examineSite(id: string): Promise<Report> {
      const site = await sites.byId(inventory.db, id);
      const { name: server, address } = await servers.byId(inventory.db, site.server);
      if (site.status === 'failed' || site.status === 'removed' || site.status === 'deleting') {
        throw failure('Conflict', `Site ${site.domain} is ${site.status}`, { next: `chom site show ${site.domain}` });
      }
      const certificate = await certificates.installed(inventory.db, id);
      const suspended = site.status === 'suspended';
      const { uid, domain, aliases, type, php, databaseName } = site;
      const seen = await examined(deps, site.server, examineSite({ site: id, domain }));
      const lookOutside = async (found: Pick<SeenSite, 'version' | 'addresses' | 'onServer'>) =>
        await lookFromOutside(deps, {
          site: id,
          suspended,
          names: [domain, ...aliases],
          server,
          address,
          certificate,
          ...found,
        });
      if ('finding' in seen) {
        const outside = await lookOutside({ version: null, addresses: [], onServer: null });
        return { findings: [seen.finding, ...outside.filter(({ state }) => state === 'ok')] };
      }
      const examination = parseSiteExamination(seen.said);
      const has = { certificate: certificate !== null, database: databaseName !== null };
      const expected = { site: id, uid, domain, server, type, php, suspended, ...has };
      const { version, addresses, pair } = examination;
      const outside = await lookOutside({ version, addresses, onServer: pair?.fingerprint ?? null });
      // Where the server itself does not serve the site, what is wrong elsewhere follows from that, or cannot be told from
      // it; as little as from a server that could not be asked.
      const told = isServed(examination, expected) ? outside : outside.filter(({ state }) => state === 'ok');
      const kept = await backupFindings(inventory.db, site, Date.now());
      return { findings: [...siteFindings(examination, expected), ...told, ...kept] };
    },
  };
}
