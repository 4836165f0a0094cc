import { createHash } from 'node:crypto';
import * as host from '../host/certificate.js';
import { failureTypeOf } from '../host/exit-codes.js';
import type { Output } from '../host/host.js';
import type { NginxFacts } from '../host/nginx.js';
import { publishSite } from '../host/nginx-site.js';
import { sh, type Script } from '../host/shell.js';
import * as certificates from '../inventory/certificates.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { CertificatePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { PendingChallenge } from './certificate-order.js';
import type { Deps } from './deps.js';
import { workplace, type Workplace } from './workplace.js';

/** The steps of a certificate on the server of its site. */
export function certificateServerActivities(deps: Deps) {
  const { inventory } = deps;

  async function publish(step: StepContext, plan: CertificatePlan, certificate: boolean): Promise<void> {
    const place = await siteServer(deps, step, plan);
    const { id, domain, aliases, type } = await sites.byId(inventory.db, plan.site);
    const publishing = publishSite({ site: id, domain, aliases, type, certificate }, await nginxFacts(place));
    await run(place, certificate ? 'publish' : 'withdraw', 'publish the site', publishing);
  }

  return {
    /** Makes the key, which stays on the server, and returns the request for it. */
    async makeCertificateRequest(step: StepContext, plan: CertificatePlan, names: string[]): Promise<string> {
      const place = await siteServer(deps, step, plan);
      const at = candidate(step, plan);
      await run(place, 'request', 'make the key', host.makeRequest(at, names));
      return await read(place, 'read the certificate request', host.readRequest(at));
    },

    async placeChallenges(step: StepContext, plan: CertificatePlan, challenges: PendingChallenge[]): Promise<void> {
      await run(
        await siteServer(deps, step, plan),
        'challenges',
        'place the challenges',
        host.putChallenges(challenges),
      );
    },

    /** Takes the challenge files away, and the probe of the name check. */
    async removeChallenges(step: StepContext, plan: CertificatePlan, challenges: PendingChallenge[]): Promise<void> {
      const tokens = [probeFile(deps, step), ...challenges].map(({ token }) => token);
      await run(await siteServer(deps, step, plan), 'remove', 'remove the challenges', host.removeChallenges(tokens));
    },

    /** Makes the pair current, and lets nginx take it where there was one before; else that is for publishing. */
    async installCertificate(step: StepContext, plan: CertificatePlan, id: string): Promise<{ first: boolean }> {
      const place = await siteServer(deps, step, plan);
      const at = candidate(step, plan);
      const { chain } = await certificates.byId(inventory.db, id);
      await run(place, 'install', 'install the certificate', host.installPair(at, chain));
      return { first: (await place.read(host.hasPrevious(at))).exit !== 0 };
    },

    /** Forgets this operation's key and certificate; the ones before are in use again. */
    async discardCertificate(step: StepContext, plan: CertificatePlan): Promise<void> {
      const act = host.discardPair(candidate(step, plan));
      await run(await siteServer(deps, step, plan), 'discard', 'take the certificate back', { act });
    },

    async publishWithTls(step: StepContext, plan: CertificatePlan): Promise<void> {
      await publish(step, plan, true);
    },

    async publishWithoutTls(step: StepContext, plan: CertificatePlan): Promise<void> {
      await publish(step, plan, false);
    },
  };
}

/** The name of this operation's key and certificate on the server. */
function candidate(step: StepContext, { site }: CertificatePlan): host.Candidate {
  return { site, candidate: createHash('sha256').update(step.operation).digest('hex').slice(0, 16) };
}

/** A file that only this operation on this controller's servers answers with. */
function probeFile({ controller }: Deps, step: StepContext): host.ChallengeFile {
  const content = createHash('sha256').update(`${controller}\0${step.operation}`).digest('base64url');
  return { token: `probe-${content.slice(0, 16)}`, content };
}

async function nginxFacts(place: Workplace): Promise<NginxFacts> {
  const said = await read(
    place,
    'ask nginx for its version',
    sh`nginx -v 2>&1; if [ -e /proc/net/if_inet6 ]; then echo ipv6; fi`,
  );
  return { version: /nginx\/([0-9.]+)/.exec(said)?.[1] ?? '0', ipv6: said.includes('ipv6') };
}

async function run(
  place: Workplace,
  part: string,
  doing: string,
  job: { check?: Script; act: Script },
): Promise<Output> {
  const { check, act } = job;
  return expectSuccess(place, doing, await place.job(part, { act, ...(check && { check }) }));
}

async function read(place: Workplace, doing: string, script: Script): Promise<string> {
  return expectSuccess(place, doing, await place.read(script)).stdout;
}

function expectSuccess(place: Workplace, doing: string, output: Output): Output {
  if (output.exit === 0) return output;
  const lines = output.stderr.trimEnd().split('\n').slice(-20);
  const why = lines.at(-1) || `exit code ${output.exit}`;
  throw failure(failureTypeOf(output.exit), `Could not ${doing} on ${place.name}: ${why}`, {
    server: place.name,
    output: lines.join('\n'),
  });
}

/** The server of a site, for changes to that site. */
export async function siteServer(deps: Deps, step: StepContext, plan: CertificatePlan): Promise<Workplace> {
  return await workplace(deps, step, plan.server, `site/${plan.site}`);
}

/** Makes this operation's probe answer on its server; `removeChallenges` takes it away. */
export async function placeProbe(deps: Deps, step: StepContext, plan: CertificatePlan) {
  const place = await siteServer(deps, step, plan);
  const probe = probeFile(deps, step);
  await run(place, 'probe', 'place a probe', host.putChallenges([probe]));
  const said = await read(place, 'read its addresses', host.ownAddresses());
  return { ...probe, addresses: said.trim().split(/\s+/) };
}
