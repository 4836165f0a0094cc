import type { adoptionActivities } from '../activities/adoption.js';
import { operation } from './operation.js';
import { adoptionPlan } from './plans.js';
import { steps } from './steps.js';

const adoption = steps<ReturnType<typeof adoptionActivities>>();

/** Makes this installation of CHOM the one whose changes a server accepts, with all sites that it knows there. */
export const adoptServer = operation(
  'adopt-server',
  { input: adoptionPlan, attempts: 3, backoff: '30 seconds', expected: '1 minute', exclusive: true },
  async (op, plan) => {
    await op.step('Take the claims over', adoption.adoptClaims, [plan], { final: true });
  },
);
