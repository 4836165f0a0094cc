import type { storageRotationActivities } from '../activities/storage-rotation.js';
import type { storageRetirementActivities } from '../activities/storage-retirement.js';
import { operation } from './operation.js';
import { steps } from './steps.js';
import { storageRotationPlan } from './storage-rotation-plan.js';

const rotation = steps<ReturnType<typeof storageRotationActivities>>();
const retirement = steps<ReturnType<typeof storageRetirementActivities>>();

/**
 * Gives a site's repository another password and, where CHOM lets sites into the storage itself, another login. The new ones
 * are kept before anything out there knows them, and open the repository before anything relies on them; the old password goes
 * later, as what this one owes. At every point a password that CHOM keeps opens the repository.
 */
export const rotateStorageCredentials = operation(
  'rotate-storage-credentials',
  { input: storageRotationPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes' },
  async (op, plan) => {
    await op.step('Look for what opens the repository', rotation.findStorageCredentials, [plan]);
    await op.step('Make the new ones', rotation.makeNextStorageCredentials, [plan], {
      undo: [rotation.withdrawNextStorageCredentials, [plan]],
      bounds: 'quick',
    });
    await op.step('Let the new login in', rotation.letNextLoginIn, [plan]);
    await op.step('Add the new password', rotation.addNextPassword, [plan]);
    await op.step('Prove them', rotation.proveNextStorageCredentials, [plan]);
    await op.step('Lay the sealed password down', rotation.escrowNextPassword, [plan]);
    await op.step('Use them', rotation.useNextStorageCredentials, [plan], { final: true, bounds: 'quick' });
    await op.step('Prove them as those in use', rotation.findStorageCredentials, [plan]);
  },
);

/**
 * Takes the password away that a rotation replaced, and the key of a login with it. It is a try of what that one owes: not before
 * a copy of CHOM's own data holds the password that is to be left.
 */
export const retireStorageCredentials = operation(
  'retire-storage-credentials',
  { input: storageRotationPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes' },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', retirement.lookForOldPassword, [plan], { bounds: 'quick' });
    if (!owed) return op.warn('The password that it was to remove is gone');
    await op.step('Look for a backup that holds the new one', retirement.expectPasswordBackedUp, [plan], {
      bounds: 'quick',
    });
    await op.step('Prove the one in use', rotation.findStorageCredentials, [plan]);
    await op.step('Close the old login', retirement.closeOldLogin, [plan]);
    await op.step('Remove the old password', retirement.removeOldPassword, [plan]);
    await op.step('Forget it', retirement.forgetOldPassword, [plan], { final: true, bounds: 'quick' });
  },
);
