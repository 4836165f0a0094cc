import type { clearingActivities } from '../activities/clearing.js';
import { operation } from './operation.js';
import { repairPlan, runsPhp } from './plans.js';
import { steps } from './steps.js';

const clearing = steps<ReturnType<typeof clearingActivities>>();

/**
 * Takes everything of a site that was given up away from its server, and nothing else; certificate and key are kept for a
 * while. It runs inside delete-site, and as a try of what that owes (docs/operations.md), from wherever an earlier one got
 * to: nothing is taken back.
 */
export const clearSite = operation(
  'clear-site',
  { input: repairPlan, attempts: 3, backoff: '60 seconds', expected: '2 minutes' },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', clearing.lookForRemoval, [plan], { bounds: 'quick' });
    if (!owed) return op.warn('Nothing of the site is to be removed any more');
    const { type, database } = plan;
    await op.step('Withdraw the site', clearing.withdraw, [plan]);
    await op.step('Take its jobs away', clearing.removeJobs, [plan]);
    // Before its user: a pool without one keeps PHP from starting.
    await op.step('Take its PHP away', clearing.removePhp, [plan], { when: runsPhp(type) });
    await op.step('Drop its database', clearing.dropDatabases, [plan], { when: database === true });
    const { certificate } = await op.step('Keep certificate and key', clearing.keepCertificate, [plan]);
    await op.step('Remove user and files', clearing.removeFiles, [plan]);
    await op.step('Record the deletion', clearing.recordDeletion, [plan, certificate], {
      final: true,
      bounds: 'quick',
    });
  },
);
