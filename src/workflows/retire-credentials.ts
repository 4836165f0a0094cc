import type { retirementActivities } from '../activities/retirement.js';
import { operation } from './operation.js';
import { retirementPlan } from './rotation-plan.js';
import { steps } from './steps.js';

const keys = steps<ReturnType<typeof retirementActivities>>();

/**
 * Takes the key away that a rotation replaced. It is a try of what that one owes (docs/operations.md), in a place of its
 * own: not before a copy of CHOM's own data holds the key that is to be left.
 */
export const retireCredentials = operation(
  'retire-credentials',
  { input: retirementPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes', exclusive: true },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', keys.lookForOldServerKey, [plan], { bounds: 'quick' });
    if (owed === null) return op.warn('The key that it was to remove is gone');
    const old = [owed.old];
    await op.step('Look for a backup that holds the new key', keys.expectServerKeyBackedUp, [plan, owed], {
      bounds: 'quick',
    });
    await op.step('Prove the current key', keys.proveServerKeyAfresh, [plan], { bounds: 'quick' });
    await op.step('Remove the old key', keys.removeOldServerKeys, [plan, old], {
      undo: [keys.putOldServerKeysBack, [plan, old]],
    });
    await op.step('See it refused', keys.seeOldServerKeysRefused, [plan, old], { bounds: 'quick' });
    await op.step('Forget the old key', keys.recordRetirement, [plan, old], { final: true, bounds: 'quick' });
  },
);
