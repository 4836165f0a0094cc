import { CancellationScope, defineSignal, setHandler, setWorkflowOptions } from '@temporalio/workflow';
import { z } from 'zod';
import type { settlingActivities } from '../activities/settling.js';
import { failure } from './failures.js';
import { insist } from './insist.js';
import { lasting } from './lasting.js';
import { OPERATION_KINDS } from './step.js';
import { steps } from './steps.js';
import { settleMember, silence, type Settlement } from './settlement.js';

const settling = steps<ReturnType<typeof settlingActivities>>();

/** What cannot be reached is recorded as not undone, and left. */
const abandonSignal = defineSignal('abandon');

const lostSchema = z.strictObject({
  operation: z.string(),
  kind: z.enum(OPERATION_KINDS),
  /** The run that was seen closed, and its epoch: whoever has taken over since is left alone. */
  run: z.string(),
  epoch: z.number(),
  how: z.string(),
});

/** An operation whose run is closed without an outcome. */
export type Lost = z.infer<typeof lostSchema>;

/**
 * Brings an operation to its end whose workflow was terminated, reset or lost: stops what it left running, takes back
 * what it did from the newest to the oldest, or finishes it where it was committed, and records the outcome. It has no
 * row of its own: as long as there is no outcome, the sweep starts it again.
 */
export async function settleOperation(lost: Lost): Promise<void> {
  const { success, data, error } = lostSchema.safeParse(lost);
  if (!success) throw failure('InvalidInput', z.prettifyError(error));
  const { operation, kind, run, epoch, how } = data;
  let abandoned = false;
  setHandler(abandonSignal, () => void (abandoned = true));
  await CancellationScope.nonCancellable(async () => {
    const context = { operation, root: operation, kind, epoch, index: 0, label: 'Take it over', attempt: 1 };
    const taken = await insist(settling.takeOverOperation, context, [{ run, epoch }]);
    const settlement: Settlement = { root: taken.root, epoch: taken.epoch, how, abandoned: () => abandoned };
    const [newest] = taken.members;
    const loud = newest && taken.worked ? await silence(settlement, newest) : null;
    for (const member of taken.members) {
      await settleMember(settlement, member, member.operation === taken.root ? loud : null);
    }
  });
}

// It waits for servers as long as they are away: it moves to the newest build, and its changes are patches.
setWorkflowOptions(lasting, settleOperation);
