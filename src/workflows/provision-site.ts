import type { probeActivities } from '../activities/probe.js';
import type { siteActivities } from '../activities/site.js';
import { issueCertificate } from './issue-certificate.js';
import { operation } from './operation.js';
import { type CertificatePlan, sitePlan, type SitePlan } from './plans.js';
import { steps } from './steps.js';

const site = steps<ReturnType<typeof siteActivities>>();
const probe = steps<ReturnType<typeof probeActivities>>();

/**
 * Makes a site on a server. Until it is active, whatever fails is undone and the server is as it was; a certificate
 * follows once the site is live, and its failure never fails the site.
 */
export const provisionSite = operation(
  'provision-site',
  { input: sitePlan, attempts: 3, backoff: '60 seconds', expected: '90 seconds' },
  async (op, plan) => {
    const php = plan.type === 'php';
    await op.step('Check the request', site.reserveSite, [plan], { bounds: 'quick' });
    await op.step('Create user and directories', site.createUser, [plan], { undo: [site.removeUser, [plan]] });
    await op.step('Install the files', site.installFiles, [plan], {
      undo: [site.forgetFiles, [plan]],
      bounds: 'transfer',
    });
    await op.step('Start PHP', site.startPhp, [plan], { undo: [site.stopPhp, [plan]], when: php });
    const version = await op.step('Publish the site', site.publishSite, [plan], { undo: [site.unpublishSite, [plan]] });
    await op.step('See it answer', probe.seeSite, [plan, version], { bounds: 'quick' });
    await op.step('Activate', site.activateSite, [plan], { final: true, bounds: 'quick' });
    if (plan.tls) await op.child(issueCertificate, 'certificate', certificateFor(plan), { failureIs: 'warning' });
  },
);

function certificateFor({ site: id, tenant, server, serverName, domain, aliases }: SitePlan): CertificatePlan {
  return { site: id, tenant, server, serverName, names: [domain, ...aliases] };
}
