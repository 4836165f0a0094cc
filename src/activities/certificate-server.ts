import { createHash } from 'node:crypto';
import * as host from '../host/certificate.js';
import { askNginxFacts, parseNginxFacts, publishSite } from '../host/nginx-site.js';
import * as certificates from '../inventory/certificates.js';
import * as sites from '../inventory/sites.js';
import type { CertificatePlan } from '../workflows/plans.js';
import { workOf, type StepContext } from '../workflows/step.js';
import type { PendingChallenge } from './certificate-order.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { siteServer } from './workplace.js';

/** The steps of a certificate on the server of its site. */
export function certificateServerActivities(deps: Deps) {
  const { inventory } = deps;

  async function publish(step: StepContext, plan: CertificatePlan, certificate: boolean): Promise<void> {
    const place = await siteServer(deps, step, plan);
    const { id, domain, aliases, type, status } = await sites.byId(inventory.db, plan.site);
    const facts = parseNginxFacts(await ask(place, 'Asking nginx for its version', askNginxFacts()));
    const publishing = publishSite(
      { site: id, domain, aliases, type, certificate, suspended: status === 'suspended' },
      facts,
    );
    await change(place, certificate ? 'publish' : 'withdraw', `Publishing ${domain}`, publishing);
  }

  return {
    /** Makes the key, which stays on the server, and returns the request for it. */
    async makeCertificateRequest(step: StepContext, plan: CertificatePlan, names: string[]): Promise<string> {
      const place = await siteServer(deps, step, plan);
      const at = candidate(step, plan);
      await change(place, 'request', `Making a key for ${names[0]}`, host.makeRequest(at, names));
      return await ask(place, 'Reading the certificate request', host.readRequest(at));
    },

    async placeChallenges(step: StepContext, plan: CertificatePlan, challenges: PendingChallenge[]): Promise<void> {
      const place = await siteServer(deps, step, plan);
      await change(place, 'challenges', 'Placing the challenges', host.putChallenges(challenges));
    },

    /** Takes the challenge files away, and the probe of the name check. */
    async removeChallenges(step: StepContext, plan: CertificatePlan, challenges: PendingChallenge[]): Promise<void> {
      const tokens = [probeFile(deps, step), ...challenges].map(({ token }) => token);
      const place = await siteServer(deps, step, plan);
      await change(place, 'remove', 'Removing the challenges', host.removeChallenges(tokens));
    },

    /** Makes the pair current, and lets nginx take it where there was one before; else that is for publishing. */
    async installCertificate(step: StepContext, plan: CertificatePlan, id: string): Promise<{ first: boolean }> {
      const place = await siteServer(deps, step, plan);
      const at = candidate(step, plan);
      const { chain } = await certificates.byId(inventory.db, id);
      await change(place, 'install', `Installing the certificate of ${plan.names[0]}`, host.installPair(at, chain));
      const previous = await ask(place, 'Looking for the certificate before', host.hasPrevious(plan.site));
      return { first: previous.trim() === 'no' };
    },

    /** Forgets this operation's key and certificate; the ones before are in use again. */
    async discardCertificate(step: StepContext, plan: CertificatePlan): Promise<void> {
      const act = host.discardPair(candidate(step, plan));
      await change(await siteServer(deps, step, plan), 'discard', 'Taking the certificate back', { act });
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
  return { site, candidate: createHash('sha256').update(workOf(step)).digest('hex').slice(0, 16) };
}

/** A file that only this operation on this controller's servers answers with. */
function probeFile({ controller }: Deps, step: StepContext): host.ChallengeFile {
  const content = createHash('sha256')
    .update(`${controller}\0${workOf(step)}`)
    .digest('base64url');
  return { token: `probe-${content.slice(0, 16)}`, content };
}

/** Makes this operation's probe answer on its server; `removeChallenges` takes it away. */
export async function placeProbe(deps: Deps, step: StepContext, plan: CertificatePlan) {
  const place = await siteServer(deps, step, plan);
  const probe = probeFile(deps, step);
  await change(place, 'probe', 'Placing a probe', host.putChallenges([probe]));
  const said = await ask(place, 'Asking for its addresses', host.ownAddresses());
  return { ...probe, addresses: said.trim().split(/\s+/) };
}
