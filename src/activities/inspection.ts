import { ApplicationFailure, Context } from '@temporalio/activity';
import { examineServer, parseServerExamination } from '../host/server-examination.js';
import { examineSite, parseSiteExamination } from '../host/site-examination.js';
import { optionalPackages, wantedPackages } from '../host/packages.js';
import { supportOf } from '../host/os.js';
import type { Script } from '../host/shell.js';
import * as certificates from '../inventory/certificates.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure, failureDetails, isFailureType } from '../workflows/failures.js';
import type { Finding, Report } from '../workflows/inspection.js';
import type { Deps } from './deps.js';
import { fine, serverFindings, wrong } from './server-findings.js';
import { siteFindings } from './site-findings.js';
import { lookFromOutside } from './site-outside.js';

const EXAMINATION_SECONDS = 40;

/**
 * Looking at servers and sites, without an operation: nothing is written, on a host or here, so there is no claim, fence
 * or attempt. What keeps it from looking is a finding too.
 */
export function inspectionActivities(deps: Deps) {
  const { hosts, inventory, controller } = deps;

  /** What the script says, or why it could not be asked. */
  async function examined(server: string, script: Script): Promise<{ said: string } | { finding: Finding }> {
    const { name } = await servers.byId(inventory.db, server);
    try {
      const host = await hosts.for(server);
      const signal = Context.current().cancellationSignal;
      const { stdout, exit, stderr } = await host.read(script, { limitSeconds: EXAMINATION_SECONDS, signal });
      if (exit === 0) return { said: stdout };
      return {
        finding: wrong(
          'login',
          `${name} cannot be examined: ${stderr.trim().split('\n').at(-1)}`,
          `chom server show ${name}`,
        ),
      };
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || !isFailureType(error.type)) throw error;
      const { cause, next } = failureDetails(error);
      return { finding: wrong('login', error.message, next ?? `chom server show ${name}`, cause) };
    }
  }

  return {
    /** @throws NotFound */
    async examineServer(id: string): Promise<Report> {
      const server = await servers.byId(inventory.db, id);
      const { name, user, os, osVersion, protection } = server;
      const support = supportOf({ id: os ?? '', version: osVersion ?? '' });
      const packages = support ? wantedPackages({ ...support, more: optionalPackages(protection ?? {}) }) : [];
      const seen = await examined(id, examineServer(packages));
      if ('finding' in seen) return { findings: [seen.finding] };
      const hosted = await sites.list(inventory.db, { server: id });
      const live = hosted.filter(({ status }) => status === 'active');
      const expected = {
        ...{ name, controller, protection },
        php: live.flatMap(({ id: site, domain, php }) => (php === null ? [] : [{ site, domain }])),
        busy: (await places.list(inventory.db, { server: id })).length > 0,
      };
      return {
        findings: [
          fine('login', `CHOM gets in as ${user}, by the pinned host key`),
          ...serverFindings(parseServerExamination(seen.said), expected, Date.now()),
        ],
      };
    },

    /** @throws NotFound; Conflict the site is not live */
    async examineSite(id: string): Promise<Report> {
      const site = await sites.byId(inventory.db, id);
      const { name: server, address } = await servers.byId(inventory.db, site.server);
      if (site.status === 'failed' || site.status === 'removed') {
        throw failure('Conflict', `Site ${site.domain} is ${site.status}`, { next: `chom site show ${site.domain}` });
      }
      const certificate = await certificates.installed(inventory.db, id);
      const seen = await examined(site.server, examineSite({ site: id }));
      const examination = 'said' in seen ? parseSiteExamination(seen.said) : null;
      const { uid, domain, aliases, type, php, databaseName } = site;
      const has = { certificate: certificate !== null, database: databaseName !== null };
      const expected = { site: id, uid, domain, server, type, php, ...has };
      const inside = 'finding' in seen ? [seen.finding] : siteFindings(parseSiteExamination(seen.said), expected);
      const outside = await lookFromOutside(deps, {
        ...{ names: [domain, ...aliases], server, address, certificate },
        version: examination?.version ?? null,
        addresses: examination?.addresses ?? [],
      });
      return { findings: [...inside, ...outside] };
    },
  };
}
