import { request } from 'node:https';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Certificate } from '../inventory/certificates.js';
import { expiryStage, renewalDue } from '../inventory/renewal-schedule.js';
import { failureDetails } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Finding } from '../workflows/inspection.js';
import { covers } from './certificate-facts.js';
import type { Deps } from './deps.js';
import { isPrivate } from '../host/private-address.js';
import { addressRecords, addressSet, serverAddresses } from './name-check.js';
import { answers } from './probe.js';
import { servedCertificate } from './served-certificate.js';
import { about, fine, wrong } from './finding.js';

/** A site as it should be seen from the outside. */
export interface SeenSite {
  site: string;
  /** Its domain first. */
  names: readonly string[];
  server: string;
  /** Its visitors are turned away. */
  suspended: boolean;
  /** Of the server, as the operator gave it. */
  address: string;
  /** The server's own; empty where it could not be asked. */
  addresses: readonly string[];
  /** What its configuration answers with; null where there is none, or the server could not be asked. */
  version: string | null;
  /** The one that is recorded as installed. */
  certificate: Certificate | null;
  /** Fingerprint of the one that lies on the server; null where there is none, or it could not be asked. */
  onServer: string | null;
}

/** Whether its names lead to its server, it answers there, and what certificate is served. */
export async function lookFromOutside(deps: Deps, site: SeenSite): Promise<Finding[]> {
  const signal = Context.current().cancellationSignal;
  const [names, http, https] = await Promise.all([
    Promise.all(site.names.map(async (name) => await resolves(deps, site, name, signal))),
    overHttp(site, signal),
    overHttps(site),
  ]);
  return [...names.flat(), http, ...https];
}

async function resolves(deps: Deps, site: SeenSite, name: string, signal: AbortSignal): Promise<Finding[]> {
  const own = addressSet([...(await serverAddresses(site.address).catch(() => [])), ...site.addresses]);
  const records = await addressRecords(deps.config.dnsServer)(name).catch((error: NodeJS.ErrnoException) => error);
  if (!Array.isArray(records)) {
    const says = `DNS gives no answer about ${name} (${records.code ?? records.message})`;
    return [about(name, wrong('names', says, `dig ${name} A`))];
  }
  const right = `in the DNS of ${name}: an A record for ${site.address}`;
  if (records.length === 0) return [about(name, wrong('names', `${name} has no A or AAAA record`, right))];
  const found: Finding[] = [];
  for (const { address, type } of records) {
    if (own.has(address) || (await leadsHere(site, name, address, signal))) continue;
    const says = `${name} has the ${type} record ${address}, which is not ${site.server}`;
    found.push(about(`${name} ${address}`, wrong('names', says, right)));
  }
  return found.length > 0 ? found : [fine('names', `${name} leads to ${site.server}`)];
}

/** A proxy in front of the server passes the question on. */
async function leadsHere({ version, server, suspended }: SeenSite, name: string, address: string, signal: AbortSignal) {
  if (version === null || isPrivate(address)) return false;
  return await answers({ address, port: 80, name, version, suspended }, signal, server, 0).then(
    () => true,
    () => false,
  );
}

async function overHttp(seen: SeenSite, signal: AbortSignal): Promise<Finding> {
  const { address, names, server, version, suspended } = seen;
  const [name = ''] = names;
  try {
    await answers({ address, port: 80, name, version: version ?? '', suspended }, signal, server, 0);
    return fine('http', `http://${name}/ answers`);
  } catch (error) {
    const found = problem('http', error);
    // The configuration that it shall have answers, and the site behind it does not.
    return found.message.includes(' answers with HTTP ') ? { ...found, next: itsErrors(seen) } : found;
  }
}

async function overHttps(seen: SeenSite): Promise<Finding[]> {
  const { address, names, server, certificate, onServer } = seen;
  if (certificate === null) return [];
  const [name = ''] = names;
  try {
    const served = await servedCertificate({ address, name, server });
    const issue = `chom certificate issue ${name}`;
    const days = Math.floor((Date.parse(served.notAfter) - Date.now()) / 86_400_000);
    const found: Finding[] = [];
    if (served.fingerprint !== certificate.fingerprint) {
      // nginx was not told of it; or somebody put another one there.
      const loads = onServer === certificate.fingerprint;
      const next = loads ? `nginx -t && systemctl reload nginx (on ${server})` : issue;
      found.push(wrong('certificate', `https://${name}/ serves another certificate than the one on record`, next));
    }
    if (!covers(served, names, Date.now())) {
      found.push(wrong('certificate', `What is served is not valid for all of ${names.join(', ')}`, issue));
    } else if (expiryStage(served, renewalDue(served), Date.now()) !== null) {
      const renew = `chom certificate renew ${name}`;
      found.push(wrong('certificate', `The certificate ends in ${days} days, and is not renewed`, renew));
    }
    const status = await frontPage(address, name);
    if (status >= 500 && !(seen.suspended && status === 503)) {
      const says = `https://${name}/ answers with HTTP ${status}`;
      found.push(wrong('https', says, itsErrors(seen), 'The site itself fails'));
    }
    if (found.length > 0) return found;
    return [fine('certificate', `https://${name}/ serves the certificate on record, for ${days} more days`)];
  } catch (error) {
    return [problem('certificate', error)];
  }
}

/** What a site that fails says of it: nginx in its log, PHP in the journal. Whose code it is has to read it. */
function itsErrors({ site, server }: SeenSite): string {
  return `tail /var/log/nginx/chom/${site}/error.log; journalctl -n 20 -t chom-php-${site} (on ${server})`;
}

async function frontPage(address: string, name: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    const options = { host: address, servername: name, headers: { Host: name, 'User-Agent': 'chom' }, agent: false };
    // Whom the certificate is trusted by is the authority's affair; which one it is was compared.
    const asked = request({ ...options, rejectUnauthorized: false, timeout: 10_000 }, (answer) => {
      resolve(answer.statusCode ?? 0);
      asked.destroy();
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`https://${name}/ does not answer`)));
    asked.end();
  });
}

function problem(check: string, error: unknown): Finding {
  if (!(error instanceof ApplicationFailure)) return wrong(check, messageOf(error), 'chom op list');
  const { cause, next } = failureDetails(error);
  return wrong(check, error.message, next ?? 'chom op list', cause);
}
