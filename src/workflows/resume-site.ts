import type { applicationActivities } from '../activities/application.js';
import type { exchangeActivities } from '../activities/exchange.js';
import type { suspensionActivities } from '../activities/suspension.js';
import { operation } from './operation.js';
import { repairPlan } from './plans.js';
import { steps } from './steps.js';

const app = steps<ReturnType<typeof applicationActivities>>();
const exchange = steps<ReturnType<typeof exchangeActivities>>();
const suspension = steps<ReturnType<typeof suspensionActivities>>();

/** Opens a suspended site. One that does not answer is closed again, and stays suspended. */
export const resumeSite = operation(
  'resume-site',
  { input: repairPlan, attempts: 3, backoff: '30 seconds', expected: '1 minute' },
  async (op, plan) => {
    await op.step('Check the request', suspension.checkResumption, [plan], { bounds: 'quick' });
    const published = await op.step('Open the site', suspension.openAgain, [plan], {
      undo: [suspension.closeForGood, [plan]],
    });
    await op.step('See it answer', exchange.seeContent, [plan, published], { bounds: 'quick' });
    const jobs = plan.type === 'wordpress' || plan.type === 'laravel';
    await op.step('Start its own jobs', app.startBackground, [plan], { when: jobs });
    await op.step('Record the end', suspension.recordResumption, [plan], { final: true, bounds: 'quick' });
  },
);
