import { ApplicationFailure, Context } from '@temporalio/activity';
import { examineServer, parseServerExamination } from '../host/server-examination.js';
import { examineSite, parseSiteExamination } from '../host/site-examination.js';
import { optionalPackages, wantedPackages } from '../host/packages.js';
import { supportOf } from '../host/os.js';
import type { Script } from '../host/shell.js';
import * as certificates from '../inventory/certificates.js';
import * as credentials from '../inventory/credentials.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { failure, failureDetails, isFailureType } from '../workflows/failures.js';
import type { Finding, Report } from '../workflows/inspection.js';
import type { Deps } from './deps.js';
import { fine, wrong } from './finding.js';
import { serverFindings } from './server-findings.js';
import { isServed, siteFindings } from './site-findings.js';
import { lookFromOutside, type SeenSite } from './site-outside.js';

const EXAMINATION_SECONDS = 40;

/**
 * Looking at servers and sites, without an operation: nothing is written, on a host or here, so there is no claim, fence
 * or attempt. What keeps it from looking is a finding too.
 */
export function inspectionActivities(deps: Deps) {
  const { hosts, inventory, controller } = deps;

  /** What the script says, or why it could not be asked. */
  async function examined(server: string, script: Script): Promise<{ said: string } | { finding: Finding }> {
    const { name, user } = await servers.byId(inventory.db, server);
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
      const { cause, next = `chom server show ${name}` } = failureDetails(error);
      const key = await credentials.current(inventory.db, server, 'server-key');
      const refused = error.type === 'LoginRefused' && error.message.includes('refuses the key') && key?.public;
      const mend = refused ? `${letIn(user, refused)} (on ${name})` : next;
      return { finding: wrong('login', error.message, mend, cause) };
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
      const live = hosted.filter((one) => sites.isLive(one));
      const expected = {
        ...{ name, controller, protection },
        sites: live.map(({ id: site, domain, php, status }) => {
          return { site, domain, php: php !== null && status !== 'suspended' };
        }),
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
      if (site.status === 'failed' || site.status === 'removed' || site.status === 'deleting') {
        throw failure('Conflict', `Site ${site.domain} is ${site.status}`, { next: `chom site show ${site.domain}` });
      }
      const certificate = await certificates.installed(inventory.db, id);
      const suspended = site.status === 'suspended';
      const { uid, domain, aliases, type, php, databaseName } = site;
      const seen = await examined(site.server, examineSite({ site: id, domain }));
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
      return { findings: [...siteFindings(examination, expected), ...told] };
    },
  };
}

/** For whoever is on the server: CHOM, that would do the same as a job, does not get in. */
function letIn(user: string, line: string): string {
  return `su -s /bin/sh ${user} -c "umask 077; mkdir -p ~/.ssh; echo '${line}' >>~/.ssh/authorized_keys"`;
}
