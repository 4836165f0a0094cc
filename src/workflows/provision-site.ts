import type { applicationActivities } from '../activities/application.js';
import type { probeActivities } from '../activities/probe.js';
import type { siteActivities } from '../activities/site.js';
import type { Noted } from '../activities/server-setup.js';
import { issueCertificate } from './issue-certificate.js';
import { operation } from './operation.js';
import { type CertificatePlan, runsPhp, sitePlan, type SitePlan } from './plans.js';
import { steps } from './steps.js';

const site = steps<ReturnType<typeof siteActivities>>();
const app = steps<ReturnType<typeof applicationActivities>>();
const probe = steps<ReturnType<typeof probeActivities>>();

/**
 * Makes a site on a server. Until it is active, whatever fails is undone and the server is as it was; a certificate
 * follows once the site is live, and its failure never fails the site.
 */
export const provisionSite = operation(
  'provision-site',
  { input: sitePlan, attempts: 3, backoff: '60 seconds', expected: '90 seconds' },
  async (op, plan) => {
    const php = runsPhp(plan.type);
    const wordpress = plan.type === 'wordpress';
    const laravel = plan.type === 'laravel';
    const forget = [app.forgetApplication, [plan]] as [typeof app.forgetApplication, [SitePlan]];

    await op.step('Check the request', site.reserveSite, [plan], { bounds: 'quick' });
    await op.step('Create user and directories', site.createUser, [plan], { undo: [site.removeUser, [plan]] });
    await op.step('Create the database', app.createDatabase, [plan], {
      undo: [app.dropDatabase, [plan]],
      when: plan.database === true,
    });
    await op.step('Install the files', site.installFiles, [plan], {
      undo: [site.forgetFiles, [plan]],
      bounds: 'transfer',
    });
    // What an application writes into its new database is taken back by dropping that.
    await op.step('Install WordPress', app.installWordpress, [plan], { undo: forget, when: wordpress });
    const prepared = await op.step('Prepare Laravel', app.prepareLaravel, [plan], { when: laravel });
    // Where the source brought its own settings, nobody knows whose database they name.
    const migrate = laravel && prepared.environment === 'ours';
    await op.step('Run the migrations', app.migrateLaravel, [plan], { undo: forget, when: migrate });
    await op.step('Start PHP', site.startPhp, [plan], { undo: [site.stopPhp, [plan]], when: php });
    const version = await op.step('Publish the site', site.publishSite, [plan], { undo: [site.unpublishSite, [plan]] });
    await op.step('See it answer', probe.seeSite, [plan, version], { bounds: 'quick' });
    await op.step('Start its own jobs', app.startBackground, [plan], {
      undo: [app.stopBackground, [plan]],
      when: wordpress || laravel,
    });
    const active: Noted | undefined = await op.step('Activate', site.activateSite, [plan], {
      final: true,
      bounds: 'quick',
    });
    // A history of 0.1.0 has no result here.
    for (const warning of active?.warnings ?? []) op.warn(warning);
    if (laravel && !migrate) {
      op.warn(`The source brought its own .env: its migrations were not run — php artisan migrate, as ${plan.site}`);
    }
    if (plan.tls) await op.child(issueCertificate, 'certificate', certificateFor(plan), { failureIs: 'warning' });
  },
);

function certificateFor({ site: id, tenant, server, serverName, domain, aliases }: SitePlan): CertificatePlan {
  return { site: id, tenant, server, serverName, names: [domain, ...aliases] };
}
