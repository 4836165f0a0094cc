import {
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from '@temporalio/workflow';
import type { coordinationActivities } from '../activities/coordination.js';
import { failure } from './failures.js';
import { lasting } from './lasting.js';

const { advanceBatch, cancelBatch } = proxyActivities<ReturnType<typeof coordinationActivities>>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '10 seconds',
  // Whatever is away is waited for, as long as it takes.
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/** Sent by whoever ends one of its operations, and by whoever pauses, resumes or cancels it: it is to look. */
const grantedSignal = defineSignal('granted');

/** Messages get lost: while operations are at work it looks for itself, ever more rarely; else hourly. */
const FIRST_LOOK_MS = 60_000;
const LONGEST_LOOK_MS = 600_000;
const IDLE_LOOK_MS = 3_600_000;

/** After so many looks the history begins anew; each takes about seven events, and Temporal advises some thousands. */
const LOOKS = 150;

/** Coordinates a batch whose rows are written: it holds no place, and its operations are no children of it. */
export async function runBatch(batch: string): Promise<void> {
  await coordinate(batch, continueAsNew<typeof runBatch>);
}

/** The same of a chain, whose operations follow each other. */
export async function runChain(chain: string): Promise<void> {
  await coordinate(chain, continueAsNew<typeof runChain>);
}

setWorkflowOptions(lasting, runBatch);
setWorkflowOptions(lasting, runChain);

/**
 * Looks at the rows whenever something has happened, and has the batch go on, until it has ended. It knows nothing itself: so
 * it can be continued as new at any time, and be started again should it be terminated.
 */
async function coordinate(batch: string, again: (batch: string) => Promise<never>): Promise<void> {
  const { workflowId } = workflowInfo();
  if (batch !== workflowId) throw failure('Forbidden', `This is not the batch that ${workflowId} coordinates`);
  let called = false;
  let cancelled = false;
  setHandler(grantedSignal, () => void (called = true));
  void CancellationScope.current().cancelRequested.catch(() => void (cancelled = true));
  await CancellationScope.nonCancellable(async () => {
    let quiet = 0;
    let asked = false;
    for (let looks = 1; ; looks += 1) {
      if (cancelled && !asked) {
        await cancelBatch(batch);
        asked = true;
      }
      called = false;
      const { state, details, working, lookAt } = await advanceBatch(batch, Date.now());
      setCurrentDetails(details);
      const news = () => called || (cancelled && !asked);
      if (state === 'ended' && !news()) return;
      // Whatever happens from here on, the next run begins with a look.
      if (looks >= LOOKS || workflowInfo().continueAsNewSuggested) await again(batch);
      if (news()) continue;
      const usual = working ? Math.min(LONGEST_LOOK_MS, FIRST_LOOK_MS * 2 ** quiet) : IDLE_LOOK_MS;
      const wait = lookAt === null ? usual : Math.max(0, Math.min(usual, lookAt - Date.now()));
      quiet = (await condition(news, wait)) ? 0 : quiet + 1;
    }
  });
}
