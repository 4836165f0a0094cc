import type { retirementActivities } from '../activities/retirement.js';
import type { rotationActivities } from '../activities/rotation.js';
import { operation } from './operation.js';
import { rotationPlan } from './rotation-plan.js';
import { steps } from './steps.js';

const keys = steps<ReturnType<typeof rotationActivities> & ReturnType<typeof retirementActivities>>();

/**
 * Gives a server another key of CHOM's. Nothing that got in before stops getting in until the new key has: it is added,
 * logs in over a connection of its own, becomes the current one, and logs in again. The old key goes later, as what this
 * one owes, or at once in an emergency. At every point at least one key that CHOM keeps works.
 */
export const rotateCredentials = operation(
  'rotate-credentials',
  { input: rotationPlan, attempts: 3, backoff: '30 seconds', expected: '300 seconds', exclusive: true },
  async (op, plan) => {
    const old = await op.step('Look for the key in use', keys.findServerKey, [plan]);
    const made = await op.step('Make the new key', keys.makeNextServerKey, [plan], {
      undo: [keys.withdrawNextServerKey, [plan]],
    });
    for (const warning of made.warnings) op.warn(warning);
    await op.step('Add the new key', keys.addNextServerKey, [plan, old]);
    await op.step('Prove the new key', keys.proveNextServerKey, [plan], { bounds: 'quick' });
    const replaced = await op.step('Make it the current key', keys.adoptNextServerKey, [plan, old], {
      final: true,
      bounds: 'quick',
    });
    await op.step('Prove it as the current key', keys.proveServerKeyInUse, [plan], { bounds: 'quick' });
    if (!plan.emergency) return;
    await op.step('Remove the old keys', keys.removeOldServerKeys, [plan, replaced]);
    await op.step('See them refused', keys.seeOldServerKeysRefused, [plan, replaced], { bounds: 'quick' });
    await op.step('Forget the old keys', keys.forgetOldServerKeys, [plan, replaced], { bounds: 'quick' });
  },
);
