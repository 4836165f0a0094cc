import { CancellationScope, CancelledFailure } from '@temporalio/workflow';

/** Ends what runs in a scope that was cancelled; nothing in one that cannot be. */
export function throwIfCancelled(): void {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('The operation was cancelled');
}
