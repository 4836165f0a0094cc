import { patched } from '@temporalio/workflow';
import type { backupActivities } from '../../src/activities/backup.js';
import type { repositoryActivities } from '../../src/activities/repository.js';
import { backupPlan } from '../../src/workflows/backup-plan.js';
import { operation } from '../../src/workflows/operation.js';
import { steps } from '../../src/workflows/steps.js';

export * from '../../src/workflows/index.js';

const backup = steps<ReturnType<typeof backupActivities>>();
const repository = steps<ReturnType<typeof repositoryActivities>>();

/**
 * The workflow of a later build, changed at both ends, as a change has to be made: what an operation that is under way
 * has done already stays as it was. It prepares the repository before it checks, and checks once more in the end.
 */
export const createBackup = operation(
  'create-backup',
  { input: backupPlan, attempts: 3, backoff: '120 seconds', expected: '120 seconds' },
  async (op, plan) => {
    const check = async () => await op.step('Check the request', backup.checkBackup, [plan], { bounds: 'quick' });
    const isLater = patched('prepare-first');
    if (!isLater) await check();
    const { repository: into } = await op.step('Prepare the repository', repository.prepareRepository, [plan]);
    if (isLater) await check();
    const made = await op.step('Back up', backup.backUpSite, [plan, into], {
      undo: [backup.discardBackup, [plan, into]],
      bounds: 'backup',
    });
    if (patched('check-again')) await op.step('Check again', backup.checkBackup, [plan], { bounds: 'quick' });
    await op.step('Record the backup', backup.recordBackup, [plan, made], { final: true, bounds: 'quick' });
  },
);
