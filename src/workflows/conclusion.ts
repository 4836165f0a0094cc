import { isCancellation } from '@temporalio/workflow';
import type { operationActivities } from '../activities/operation.js';
import type { Attempts } from './attempts.js';
import type { Board } from './board.js';
import { causeOf, failureOf, type Cause } from './causes.js';
import type { Ending } from './definition.js';
import type { Journal } from './journal.js';
import type { Place } from './place.js';
import { steps } from './steps.js';

const lifecycle = steps<ReturnType<typeof operationActivities>>();

/** How an operation comes to its end: forward or back, and recorded once. All of it is out of a cancellation's reach. */
export class Conclusion {
  constructor(
    private readonly place: Place,
    private readonly board: Board,
    private readonly journal: Journal,
    private readonly attempts: Pick<Attempts, 'owed'>,
  ) {}

  /** Records that it went well. */
  async succeed(cause: Cause | null = null): Promise<Ending> {
    await this.record('succeeded', cause);
    return { operation: this.place.id, outcome: 'succeeded', warnings: this.board.progress.warnings };
  }

  /**
   * Ends what did not go well (`cancelled`: as the operation's own scope says); throws what the workflow shall fail with,
   * or returns when it had been committed.
   */
  async fail(error: unknown, cancelled: boolean): Promise<Ending> {
    const cause = causeOf(error);
    // Somebody else acts for this operation, or nobody asked for it: there is nothing of ours to undo or to record.
    if (cause.type === 'Superseded' || this.place.unknown) throw failureOf(cause);
    const stopped = isCancellation(error) && cancelled;
    // Whether a final step took effect, only the inventory knows; if it did not, it will not from here on.
    const { committed } = await this.place.insist(lifecycle.turnBack, []);
    if (committed) {
      this.board.progress.committed = true;
      this.board.warn(stopped ? 'Cancelled after it had taken effect: what followed was not done.' : cause.message);
      return await this.succeed(stopped ? null : cause);
    }
    await this.undo();
    await this.record(stopped ? 'cancelled' : 'failed', stopped ? null : cause);
    throw stopped ? error : failureOf(cause);
  }

  private async undo(): Promise<void> {
    const { epoch } = this.place;
    await this.journal.takeBack({ epoch }, async ({ index, label }, reason) => {
      this.board.warn(`Not undone: ${label}: ${reason}`);
      await this.place.insist(lifecycle.noteNotUndone, [{ step: index, reason }]);
    });
  }

  private async record(outcome: 'succeeded' | 'failed' | 'cancelled', cause: Cause | null): Promise<void> {
    const { steps: done, warnings } = this.board.progress;
    const owed = outcome === 'failed' && cause?.type === 'Deferred' && this.attempts.owed;
    await this.place.insist(lifecycle.concludeOperation, [
      { outcome, cause, warnings, steps: done, overdue: this.board.overdue, ...(owed && { owed }) },
    ]);
  }
}
