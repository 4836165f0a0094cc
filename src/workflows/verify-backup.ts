import type { verificationActivities } from '../activities/verification.js';
import { operation } from './operation.js';
import { steps } from './steps.js';
import { answersPage, verificationPlan } from './verification-plan.js';

const verification = steps<ReturnType<typeof verificationActivities>>();

/**
 * Restores a backup beside its site, where it reaches nothing, compares it with its manifest and asks for the first page.
 * The live site is not touched and serves meanwhile. What was restored is gone before the verification counts: a copy of
 * a site that lies about is worse than a verification that has to be done again.
 */
export const verifyBackup = operation(
  'verify-backup',
  { input: verificationPlan, attempts: 3, backoff: '60 seconds', expected: '5 minutes' },
  async (op, plan) => {
    await op.step('Check the request', verification.checkVerification, [plan], { bounds: 'quick' });
    const facts = await op.step('Read the manifest', verification.fetchScratchManifest, [plan], {
      undo: [verification.removeScratch, [plan]],
    });
    const runs = facts.database !== null || answersPage(plan, facts);
    await op.step('See that there is room', verification.findScratchRoom, [plan, facts]);
    await op.step('Restore the files beside the site', verification.stageScratchFiles, [plan, facts], {
      when: facts.files !== null,
      bounds: 'backup',
    });
    await op.step('Fetch the dump', verification.fetchScratchDump, [plan, facts], { when: runs, bounds: 'backup' });
    const page = await op.step('Try it out', verification.tryScratchSite, [plan, facts], {
      when: runs,
      bounds: 'backup',
    });
    await op.step('Remove what was restored', verification.removeScratch, [plan]);
    await op.step('Record the verification', verification.recordVerification, [plan, facts, page ?? null], {
      final: true,
      bounds: 'quick',
    });
  },
);
