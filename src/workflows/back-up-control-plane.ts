import type { controlPlaneActivities } from '../activities/control-plane.js';
import { controlPlanePlan } from './control-plane-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const chom = steps<ReturnType<typeof controlPlaneActivities>>();

/**
 * Backs CHOM itself up, as `chom backup database` does, encrypted and tried out. Nothing is taken back: a backup that nobody
 * recorded is one too many, and goes when its time has come.
 */
export const backUpControlPlane = operation(
  'back-up-control-plane',
  { input: controlPlanePlan, attempts: 3, backoff: '5 minutes', expected: '5 minutes' },
  async (op, plan) => {
    const made = await op.step('Back up inventory, keyring and settings', chom.makeControlPlaneBackup, [plan], {
      bounds: 'transfer',
    });
    await op.step('Record the backup', chom.recordControlPlaneBackup, [plan, made], { final: true, bounds: 'quick' });
    await op.step('Remove those that are kept no more', chom.removeSpareControlPlaneBackups, [plan]);
  },
);
