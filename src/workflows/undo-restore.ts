import type { exchangeActivities } from '../activities/exchange.js';
import type { restoreActivities } from '../activities/restore.js';
import { exchangeSite } from './exchange-site.js';
import { operation } from './operation.js';
import { undoRestorePlan } from './restore-plan.js';
import { steps } from './steps.js';

const exchange = steps<ReturnType<typeof exchangeActivities>>();
const restore = steps<ReturnType<typeof restoreActivities>>();

/** Puts back what was there before a restore, and backs up what was restored, with all that came into it since. */
export const undoRestore = operation(
  'undo-restore',
  { input: undoRestorePlan, attempts: 2, backoff: '60 seconds', expected: '300 seconds' },
  async (op, plan) => {
    const switched = await op.step('Check the request', restore.beginUndo, [plan], { bounds: 'quick' });
    await exchangeSite(op, plan, {
      label: 'Switch back to what was there before',
      step: exchange.switchBack,
      back: exchange.switchTo,
      args: [plan, switched],
    });
    await op.step('Record the undo', restore.recordUndo, [plan], { final: true, bounds: 'quick' });
  },
);
