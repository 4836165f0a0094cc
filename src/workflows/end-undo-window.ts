import type { restoreActivities } from '../activities/restore.js';
import { operation } from './operation.js';
import { undoWindowPlan } from './restore-plan.js';
import { steps } from './steps.js';

const restore = steps<ReturnType<typeof restoreActivities>>();

/**
 * Removes what lies beside a site since a restore. It is a try of what that one owes (docs/operations.md), in a place of
 * its own.
 */
export const endUndoWindow = operation(
  'end-undo-window',
  { input: undoWindowPlan, attempts: 3, backoff: '60 seconds', expected: '2 minutes' },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', restore.lookForWindow, [plan], { bounds: 'quick' });
    if (owed === null) return op.warn('What it was to remove is owed no more');
    await op.step('Remove what lies beside the site', restore.removeKept, [plan, owed]);
    await op.step('Record the end', restore.recordEnd, [plan, owed], { final: true, bounds: 'quick' });
  },
);
