import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import * as operations from '../inventory/operations.js';
import { refuseForeign } from '../inventory/ownership.js';
import * as remains from '../inventory/remains.js';
import { failure, isFailureType } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import { nameAndMessageOf } from '../workflows/thrown.js';
import { isUnreadable } from '../workflows/unreadable.js';
import type { Deps } from './deps.js';
import { beating } from './heartbeat.js';
import { fence } from './workplace.js';

type StepActivity = (step: StepContext, ...args: never[]) => Promise<unknown>;

/**
 * What every step's activity goes through: its arguments were sealed for us, its operation may still act and acts on
 * what its tenant asked for, its undo is journalled before it acts, it heartbeats, and only failures of ours leave it.
 */
export function stepActivity(deps: Deps, activity: StepActivity) {
  return async (step: StepContext, ...args: never[]): Promise<unknown> => {
    const { cancellationSignal } = Context.current();
    try {
      return await beating(deps, async () => {
        refuseUnreadable(step, args);
        // Index 0: the operation's own beginning and end, which look after their fence themselves.
        if (step.index > 0) await enter(deps, step, args);
        const result = await activity(step, ...args);
        if (step.undoes !== undefined || step.takesBack) await undone(deps, step);
        return result;
      });
    } catch (error) {
      throw asFailure(deps, step, error, cancellationSignal);
    }
  };
}

function refuseUnreadable(step: StepContext, args: unknown[]): void {
  const found = [step, ...args].find((value) => isUnreadable(value));
  if (isUnreadable(found)) throw failure('Forbidden', `An argument of this step is ${found.chomUnreadable}`);
}

async function enter(deps: Deps, step: StepContext, args: readonly unknown[]): Promise<void> {
  const { operation, index, label, undo, final } = step;
  await deps.inventory.fenced(fence(step), async (trx) => {
    await refuseForeign(trx, operation, args);
    // Entering an undo only asks whether this run may still act.
    if (step.undoes !== undefined) return;
    const journal = { operation, step: index, label, ...(undo && { undo }), ...(final && { final }) };
    await operations.enterStep(trx, deps.keyring, journal);
  });
}

async function undone(deps: Deps, step: StepContext): Promise<void> {
  const { operation, undoes = 0, goesOn = false, takesBack } = step;
  await deps.inventory.fenced(fence(step), async (trx) => {
    if (takesBack) return await remains.takenBack(trx, operation, takesBack);
    await operations.markUndone(trx, { operation, step: undoes, goesOn });
  });
}

function asFailure(deps: Deps, step: StepContext, error: unknown, cancelled: AbortSignal): unknown {
  if (cancelled.aborted) {
    if (Context.current().cancellationDetails?.cancelRequested) return new CancelledFailure(`${step.label}: cancelled`);
    // The worker shuts down, or lost touch: not the operation's doing, so Temporal gives the step to another worker.
    return ApplicationFailure.retryable(`${step.label}: the worker left`, 'WorkerLeft');
  }
  if (error instanceof ApplicationFailure && isFailureType(error.type)) {
    deps.log.warn(
      { operation: step.operation, step: step.label, attempt: step.attempt, type: error.type },
      error.message,
    );
    return error;
  }
  deps.log.error(
    { operation: step.operation, step: step.label, attempt: step.attempt, err: error },
    'unexpected error',
  );
  const message = nameAndMessageOf(error);
  return failure('Unexpected', `${step.label}: ${message.slice(0, 500)}`, {
    step: step.label,
    cause: 'A defect in CHOM or something it does not expect; the worker has logged where.',
  });
}
