import type { applicationActivities } from '../activities/application.js';
import type { repairActivities } from '../activities/repair.js';
import type { siteActivities } from '../activities/site.js';
import type { suspensionActivities } from '../activities/suspension.js';
import { issueCertificate } from './issue-certificate.js';
import { operation } from './operation.js';
import { repairPlan, runsPhp } from './plans.js';
import { steps } from './steps.js';

const app = steps<ReturnType<typeof applicationActivities>>();
const repair = steps<ReturnType<typeof repairActivities>>();
const site = steps<ReturnType<typeof siteActivities>>();
const suspension = steps<ReturnType<typeof suspensionActivities>>();

/**
 * Puts back what a live site needs on its server and somebody took away: user, directories, database, PHP, nginx file,
 * jobs, certificate. Each step finds out first what is there, its files and what is in its database are not touched,
 * and nothing is undone: what was put back stays so.
 */
export const repairSite = operation(
  'repair-site',
  { input: repairPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes' },
  async (op, plan) => {
    const { type, domain, aliases } = plan;

    const live: { suspended: boolean } | undefined = await op.step('Check the site', repair.checkLive, [plan], {
      bounds: 'quick',
    });
    // A history of before says nothing of it.
    const open = !live?.suspended;
    await op.step('Put back user and directories', repair.putBackUser, [plan]);
    const database = plan.database === true;
    await op.step('Put back the database', app.createDatabase, [plan], { when: database });
    // A step that was skipped gives nothing.
    const looked = await op.step('Look into the database', repair.lookIntoDatabase, [plan], { when: database });
    for (const warning of looked?.warnings ?? []) op.warn(warning);
    // Before its PHP: while a file that nginx reads is gone, no site of the server can be changed.
    const { certificateLost } = await op.step('Publish the site', repair.republish, [plan]);
    await op.step('Start PHP', site.startPhp, [plan], { when: runsPhp(type) && open });
    const jobs = type === 'wordpress' || type === 'laravel';
    await op.step('Start its own jobs', app.startBackground, [plan], { when: jobs && open });
    await op.step('Keep it suspended', suspension.closeForGood, [plan], { when: !open });
    await op.step('Record the repair', repair.recordRepair, [plan, certificateLost], { final: true, bounds: 'quick' });
    if (certificateLost) {
      const { site: id, tenant, server, serverName } = plan;
      const wanted = { site: id, tenant, server, serverName, names: [domain, ...aliases] };
      await op.child(issueCertificate, 'certificate', wanted, { failureIs: 'warning' });
    }
  },
);
