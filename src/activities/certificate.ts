import { Context } from '@temporalio/activity';
import * as certificates from '../inventory/certificates.js';
import type { Certificate } from '../inventory/certificates.js';
import * as events from '../inventory/events.js';
import * as obligations from '../inventory/obligations.js';
import { renewalDue } from '../inventory/renewal-schedule.js';
import * as renewals from '../inventory/renewals.js';
import { commitOperation } from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import { isVoid, triedBy } from '../inventory/tries.js';
import { failure } from '../workflows/failures.js';
import { CERTIFICATE, UNDO, type CertificatePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import { covers } from './certificate-facts.js';
import { certificateOrderActivities, type PendingChallenge } from './certificate-order.js';
import { certificateServerActivities, placeProbe } from './certificate-server.js';
import { answersWith, describeAnswer, probeChallenge } from './challenge-probe.js';
import type { Deps } from './deps.js';
import { addressRecords, type CheckedNames, checkNames, serverAddresses } from './name-check.js';
import { servedCertificate } from './served-certificate.js';
import { fence } from './workplace.js';

// A reload answers at once and takes effect a little later.
const PATIENCE_MILLISECONDS = 10_000;

/** The steps of a certificate: those at the authority, on the site's server, and in the inventory. */
export function certificateActivities(deps: Deps) {
  const { inventory, config } = deps;

  return {
    ...certificateOrderActivities(deps),
    ...certificateServerActivities(deps),

    /**
     * Which of the names can be ordered. Refuses before any order what an authority would refuse after it.
     * @throws NotFound, Conflict: no such site, or it is not live; DomainNotPointed; ValidationFailed where DNS is silent
     */
    async checkCertificateNames(step: StepContext, plan: CertificatePlan): Promise<CheckedNames> {
      if (await isVoid(inventory.db, step.operation)) {
        return { names: [], warnings: ['What it was to try again is owed no more'], probed: false };
      }
      const site = await sites.byId(inventory.db, plan.site);
      if (!sites.isSettled(site) || site.server !== plan.server) {
        throw failure('Conflict', `Site ${site.domain} is ${site.status} and not live on ${plan.serverName}`);
      }
      const strange = plan.names.find((name) => name !== site.domain && !site.aliases.includes(name));
      if (strange !== undefined) throw failure('Forbidden', `${strange} is no name of site ${site.domain}`);
      const before = await certificates.installed(inventory.db, plan.site);
      if (plan.renewal && before?.id !== plan.renewal.certificate) {
        return { names: [], warnings: ['What it was to renew is the site’s no more'], probed: false };
      }
      const { address, status } = await servers.byId(inventory.db, plan.server);
      if (status === 'removed')
        throw failure('NotFound', `Site ${site.domain} has no server: ${plan.serverName} was removed`);
      const checked = await checkNames({
        names: plan.names,
        server: { name: plan.serverName, addresses: await serverAddresses(address) },
        records: addressRecords(config.dnsServer),
        placeProbe: async () => await placeProbe(deps, step, plan),
      });
      if (before) refuseFewerNames(plan, checked.names, before);
      return checked;
    },

    /** The installed certificate, where it is served, holds the names and is not due for renewal; else null. */
    async findValidCertificate(
      step: StepContext,
      plan: CertificatePlan,
      names: string[],
    ): Promise<{ id: string; notAfter: string } | null> {
      const now = Date.now();
      const known = await certificates.installed(inventory.db, plan.site);
      if (plan.force || plan.renewal || !known || !covers(known, names, now) || renewalDue(known) <= now) return null;
      const served = await seeServed(plan).catch(() => null);
      return served?.fingerprint === known.fingerprint ? { id: known.id, notAfter: known.notAfter } : null;
    },

    /** Sees the challenges answered where the site is, before an authority counts a failure. @throws ProbeFailed */
    async checkChallenges(step: StepContext, plan: CertificatePlan, challenges: PendingChallenge[]): Promise<void> {
      const server = await servers.byId(inventory.db, plan.server);
      const [address = server.address] = await serverAddresses(server.address);
      for (const { name, token, content } of challenges) {
        const answer = await patiently(
          async () => await probeChallenge({ address, name, token }),
          (given) => answersWith(given, content),
        );
        if (answersWith(answer, content)) continue;
        throw failure(
          'ProbeFailed',
          `Port 80 of ${server.name} (${address}) ${describeAnswer(answer)} for http://${name}/`,
          {
            server: server.name,
            cause:
              'A firewall, another web server on port 80, or a server block that takes the name before the site does.',
            next: `ssh to ${server.name} and run: nginx -T | grep -n ${name}; nft list ruleset`,
          },
        );
      }
    },

    /** What the server serves on port 443 is this certificate: said by the handshake, not by us. @throws ProbeFailed */
    async checkServedCertificate(step: StepContext, plan: CertificatePlan, id: string): Promise<void> {
      const { fingerprint } = await certificates.byId(inventory.db, id);
      const served = await patiently(
        async () => await seeServed(plan),
        (found) => found.fingerprint === fingerprint,
      );
      if (served.fingerprint === fingerprint) return;
      throw failure('ProbeFailed', `${plan.serverName} still serves another certificate for ${plan.names[0]}`, {
        server: plan.serverName,
        cause: `It serves one of ${served.issuer} until ${served.notAfter}: nginx did not reload, or a proxy is in front.`,
        next: `ssh to ${plan.serverName} and run: systemctl status nginx`,
      });
    },

    /** From here on the certificate is the site's. */
    async recordCertificate(step: StepContext, plan: CertificatePlan, id: string): Promise<void> {
      const { tenant, server, site } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await certificates.markInstalled(trx, id);
        await renewals.begin(trx, await certificates.byId(trx, id));
        // What was owed is there; what this operation is itself a try of is done with its outcome.
        await obligations.cancel(trx, { site, name: CERTIFICATE }, triedBy(step.operation));
        // What one that failed left of its own is in the way no more; taken back now, it would take this one's TLS along.
        await obligations.cancel(trx, { site, name: UNDO });
        const { names, serial, fingerprint, issuer, notBefore, notAfter } = await certificates.byId(trx, id);
        const data = { certificate: id, names, serial, fingerprint, issuer, notBefore, notAfter };
        await events.emit(trx, { operation: step.operation, type: 'CertificateIssued', tenant, server, site, data });
        await commitOperation(trx, step.operation);
      });
    },
  };

  async function seeServed(plan: CertificatePlan) {
    const { address, name: server } = await servers.byId(inventory.db, plan.server);
    return await servedCertificate({ address, name: plan.names[0] ?? '', server });
  }
}

/**
 * One that is valid is not renewed by one with fewer of the site's names, as long as there is time to mend their DNS.
 * @throws DomainNotPointed
 */
function refuseFewerNames({ renewal, names, serverName }: CertificatePlan, found: string[], before: Certificate): void {
  if (!renewal || renewal.emergency || Date.parse(before.notAfter) <= Date.now()) return;
  const lost = before.names.filter((name) => names.includes(name) && !found.includes(name));
  if (lost.length === 0) return;
  throw failure(
    'DomainNotPointed',
    `${lost.join(', ')} does not resolve, and is in the certificate that is to be renewed`,
    {
      server: serverName,
      cause: `Without it the new certificate would be worse than the one that is valid until ${before.notAfter}.`,
      next: `add its A record; or do without it: chom certificate issue ${names[0]}`,
    },
  );
}

/** Asks again until the answer will do, or patience ends; then the last answer, whatever it is. */
async function patiently<Answer>(ask: () => Promise<Answer>, willDo: (answer: Answer) => boolean): Promise<Answer> {
  const deadline = Date.now() + PATIENCE_MILLISECONDS;
  for (let pause = 100; ; pause = Math.min(pause * 2, 1000)) {
    const late = Date.now() + pause > deadline;
    const answer = await ask().catch((error: unknown) => {
      if (late) throw error;
      return undefined;
    });
    if (answer !== undefined && (late || willDo(answer))) return answer;
    await Context.current().sleep(pause);
  }
}
