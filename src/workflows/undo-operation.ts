import { isCancellation } from '@temporalio/workflow';
import type { settlingActivities } from '../activities/settling.js';
import { causeOf } from './causes.js';
import { isAway } from './failures.js';
import { operation } from './operation.js';
import { undoPlan } from './plans.js';
import { steps } from './steps.js';

const settling = steps<ReturnType<typeof settlingActivities>>();

/**
 * Takes back what an operation left on its server that ended while that was away. It is a try of what that one owes
 * (docs/operations.md): an operation like any other, in a place of its own, so that it never runs beside another one of
 * the same site. What one of the undos meets stops none of the others, but for a server that is away again.
 */
export const undoOperation = operation(
  'undo-operation',
  { input: undoPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes' },
  async (op, plan) => {
    const left = await op.step('Look what is left', settling.lookWhatIsLeft, [plan], { bounds: 'quick' });
    if (left.length === 0) return op.warn('What it was to take back is owed no more');
    let first: unknown;
    for (const { label, undo, ...takesBack } of left) {
      try {
        await op.step(`Undo: ${label}`, { activity: undo.activity }, undo.args, { takesBack });
      } catch (error) {
        const { type } = causeOf(error);
        if (isCancellation(error) || type === 'Superseded' || isAway(type)) throw error;
        first ??= error;
      }
    }
    if (first !== undefined) throw first;
  },
);
