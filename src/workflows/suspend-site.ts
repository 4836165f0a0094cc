import type { exchangeActivities } from '../activities/exchange.js';
import type { suspensionActivities } from '../activities/suspension.js';
import { operation } from './operation.js';
import { steps } from './steps.js';
import { suspensionPlan } from './suspension-plan.js';

const exchange = steps<ReturnType<typeof exchangeActivities>>();
const suspension = steps<ReturnType<typeof suspensionActivities>>();

/**
 * Turns the visitors of a site away, and stops what works for it, also over a boot; nothing of it is touched, and its
 * certificate is still renewed.
 */
export const suspendSite = operation(
  'suspend-site',
  { input: suspensionPlan, attempts: 3, backoff: '30 seconds', expected: '1 minute' },
  async (op, plan) => {
    const { reason, ...site } = plan;
    await op.step('Check the request', suspension.checkSuspension, [site], { bounds: 'quick' });
    const published = await op.step('Close the site', suspension.closeForGood, [site], {
      undo: [exchange.reopenSite, [site]],
    });
    await op.step('See visitors turned away', suspension.seeTurnedAway, [site, published], { bounds: 'quick' });
    await op.step('Record the suspension', suspension.recordSuspension, [site, reason], {
      final: true,
      bounds: 'quick',
    });
  },
);
