import { patched } from '@temporalio/workflow';
import type { cleaningActivities } from '../activities/cleaning.js';
import type { storageLoginActivities } from '../activities/storage-login.js';
import { cleaningPlan, purgePlan } from './cleaning-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const cleaning = steps<ReturnType<typeof cleaningActivities>>();
const login = steps<ReturnType<typeof storageLoginActivities>>();

/** A lock that a dead machine left is its own until half an hour has passed. */
const PATIENCE = { attempts: 4, backoff: '10 minutes', expected: '10 minutes' } as const;

/**
 * Removes the backups of a site that its policy does not keep, from one repository, and gives their space back. Nothing is
 * taken back: a removal that was begun is finished by whoever cleans next.
 */
export const cleanBackups = operation('clean-backups', { input: cleaningPlan, ...PATIENCE }, async (op, plan) => {
  const { bytes, findings } = await op.step('Look into the repository', cleaning.lookIntoRepository, [plan]);
  for (const finding of findings) op.warn(finding);
  const spent = await op.step('Remove what is not kept', cleaning.removeBackups, [plan]);
  await op.step('Give the space back', cleaning.pruneRepository, [plan], { bounds: 'backup' });
  // A worker of another build may have recorded that it is, and not known this step.
  if (spent && patched('close-spent-login')) await op.step('Close its login', login.closeLogin, [plan]);
  await op.step('Record what was removed', cleaning.recordCleaning, [plan, bytes], { final: true });
});

/** Removes everything that a repository of a deleted site holds, and sees that nothing is left. */
export const purgeBackups = operation('purge-backups', { input: purgePlan, ...PATIENCE }, async (op, plan) => {
  const bytes = await op.step('Look into the repository', cleaning.measureRepository, [plan]);
  await op.step('Remove everything', cleaning.removeAllBackups, [plan]);
  await op.step('Give the space back', cleaning.emptyRepository, [plan], { bounds: 'backup' });
  // One that was at work when CHOM was upgraded has no such step.
  if (patched('close-login')) await op.step('Close its login', login.closeLogin, [plan]);
  await op.step('See that nothing is left', cleaning.recordPurge, [plan, bytes], { final: true });
});
