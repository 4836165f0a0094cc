import type { accountRollActivities } from '../activities/account-roll.js';
import { accountPlan } from './account-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const account = steps<ReturnType<typeof accountRollActivities>>();

/**
 * Gives CHOM's account at a certificate authority another key. The new one is kept before the authority hears of it, and stays
 * kept until one of the two is known to be the account's: so there is nothing to be taken back, wherever it ends.
 */
export const rollAcmeAccount = operation(
  'roll-acme-account',
  { input: accountPlan, attempts: 3, backoff: '30 seconds', expected: '1 minute' },
  async (op, plan) => {
    await op.step('Look for the account', account.findAccount, [plan], { bounds: 'quick' });
    await op.step('Make the new key', account.makeNextAccountKey, [plan], { bounds: 'quick' });
    await op.step("Change the account's key", account.changeAccountKey, [plan], { bounds: 'quick' });
    await op.step('Use the new key', account.useNextAccountKey, [plan], { final: true, bounds: 'quick' });
  },
);
