import type { storageActivities } from '../activities/storage.js';
import { operation } from './operation.js';
import { storagePlan } from './plans.js';
import { steps } from './steps.js';

const storage = steps<ReturnType<typeof storageActivities>>();

/**
 * Finds out whether a storage can be reached, written to and, by whoever breaks into a host, deleted from: with a repository
 * of CHOM's own, which stays for the next time.
 */
export const checkStorage = operation(
  'check-storage',
  { input: storagePlan, attempts: 2, backoff: '15 seconds', expected: '2 minutes', exclusive: true },
  async (op, plan) => {
    await op.step('Make the repository for trying', storage.prepareTrial, [plan]);
    await op.step('Write and delete', storage.tryStorage, [plan], { final: true });
  },
);
