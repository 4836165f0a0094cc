import {
  CancellationScope,
  ChildWorkflowFailure,
  executeChild,
  ParentClosePolicy,
  patched,
  TerminatedFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Member, settlingActivities } from '../activities/settling.js';
import type { Board } from './board.js';
import { causeOf } from './causes.js';
import type { Ending, OperationWorkflow } from './definition.js';
import { failure } from './failures.js';
import type { Place } from './place.js';
import { settleMember, silence } from './settlement.js';
import { steps } from './steps.js';

const settling = steps<ReturnType<typeof settlingActivities>>();

/**
 * Runs an operation whose row is written inside another one, in its place, to its end. One that was terminated, or
 * reset, has recorded nothing: its parent does it. Throws what the parent hears of the child's failure.
 */
export async function runChild<Input>(
  place: Place,
  board: Board,
  { workflow, id, input }: { workflow: OperationWorkflow<Input>; id: string; input: Input },
): Promise<Ending> {
  const { kind } = workflow;
  const shown = board.show(kind, 'running');
  const { typedSearchAttributes, priority } = workflowInfo();
  try {
    const ending = await executeChild(workflow, {
      workflowId: id,
      args: [{ operation: id, input }],
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      typedSearchAttributes,
      staticSummary: `${kind}, inside ${place.id}`,
      ...(priority && { priority }),
    });
    board.update(shown, { state: 'done' });
    return ending;
  } catch (thrown) {
    const error = await CancellationScope.nonCancellable(() => settleDead(place, thrown, { id, kind }));
    board.update(shown, { state: 'failed', message: causeOf(error).message });
    throw error;
  }
}

/** What the parent tells of a child whose failure is only a warning. */
export function describeFailure(error: unknown, { kind }: { kind: string }): string {
  const { type, message, details } = causeOf(error);
  const what = type === 'Deferred' ? kind : `${kind} failed`;
  return [`${what}: ${message}`, details.cause, details.next].filter(Boolean).join(' — ');
}

/** Brings a child to its end that did not record it itself. Returns what the parent hears of that end. */
async function settleDead(
  place: Place,
  error: unknown,
  { id, kind }: { id: string; kind: Member['kind'] },
): Promise<unknown> {
  const how = howItDied(error);
  if (!how) return error;
  const member: (Member & { epoch?: number }) | null = await place.insist(settling.takeOverChild, [id]);
  if (member) {
    // Histories of before say nothing of an epoch: then it was not raised.
    place.epoch = member.epoch ?? place.epoch;
    const { root, epoch } = place;
    const settlement = { root, epoch, how, abandoned: () => true };
    const loud = await silence(settlement, { ...member, kind });
    await settleMember(settlement, { ...member, kind }, loud);
  }
  // That the child's run was superseded says nothing of this one, which has just been found to be the one that may act.
  return how === 'reset' ? failure('Interrupted', 'Its workflow was reset', { next: `chom op show ${id}` }) : error;
}

/**
 * How the workflow of a child came to an end that it did not record itself, or null. Of one that was reset the server
 * tells only the new run's end, which finds that it may not act.
 */
function howItDied(error: unknown): 'terminated' | 'reset' | null {
  if (!(error instanceof ChildWorkflowFailure)) return null;
  if (error.cause instanceof TerminatedFailure) return 'terminated';
  return causeOf(error).type === 'Superseded' && patched('settle-reset-child') ? 'reset' : null;
}
