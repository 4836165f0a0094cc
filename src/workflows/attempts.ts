import { isCancellation, patched } from '@temporalio/workflow';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Board } from './board.js';
import { throwIfCancelled } from './cancellation.js';
import { causeOf, type Cause } from './causes.js';
import type { Definition } from './definition.js';
import { deferred, dueAfter, type Owed } from './deferral.js';
import { RETRYABLE } from './failures.js';
import type { Journal } from './journal.js';
import { LONGEST_WAIT_WITH_PLACE_MS, type Place } from './place.js';
import type { StepProgress } from './progress.js';
import type { StepContext } from './step.js';
import { schedule, type Bounds, type Step } from './steps.js';

/** More, and the operation ends rather than waits. */
const LONGEST_PAUSE_MS = 3_600_000;

/** Out of the body of an operation: it waits without its place, and begins again. */
export class StartOver extends Error {
  constructor(
    readonly shown: StepProgress,
    readonly ms: number,
    readonly summary: string,
  ) {
    super(summary);
  }
}

/** The attempts of an operation, one budget for all its steps, and what it does while it waits for the next one. */
export class Attempts {
  /** What it would owe if it ended as deferred; only inside another operation. */
  owes: Omit<Owed, 'due'> | null = null;
  /** What it owes, once it was deferred. */
  owed: Owed | null = null;

  constructor(
    private readonly definition: Pick<Definition<never>, 'backoff'>,
    private readonly place: Place,
    private readonly board: Board,
    private readonly journal: Journal,
  ) {}

  /**
   * Has a step done, as often as its failures and the budget allow. Throws what it fails with in the end, `Deferred`, or
   * StartOver.
   */
  async run<Args extends unknown[], Result>(
    shown: StepProgress,
    step: Step<Args, Result>,
    context: StepContext,
    args: Args,
    bounds: Bounds,
  ): Promise<Result> {
    const { board } = this;
    for (;;) {
      throwIfCancelled();
      board.update(shown, { state: 'running', attempt: board.progress.attempt });
      try {
        const now = { epoch: this.place.epoch, attempt: board.progress.attempt };
        const result = await schedule(step, { ...context, ...now }, args, bounds);
        board.update(shown, { state: 'done' });
        return result;
      } catch (error) {
        await this.next(shown, context, error);
      }
    }
  }

  /** Waits, as the body of an operation asked for. */
  async wait(shown: StepProgress, label: string, ms: number): Promise<void> {
    this.defer(ms, { type: 'Deferred', message: label, details: {} }, shown);
    await this.pause(ms, label);
  }

  /** Waits, without the place where that is possible and worth it. */
  async pause(ms: number, summary: string): Promise<void> {
    await this.place.pause(ms, summary, this.board.progress.committed || this.journal.empty);
  }

  /** After an attempt that failed: waits for the next one, or throws where none follows. */
  private async next(shown: StepProgress, context: StepContext, error: unknown): Promise<void> {
    const { progress } = this.board;
    const { attempts } = progress;
    const { backoff } = this.definition;
    const cause = causeOf(error);
    const again = !isCancellation(error) && RETRYABLE[cause.type] && progress.attempt < attempts;
    const pause = Math.max(msToNumber(backoff), (cause.details.retryAfterSeconds ?? 0) * 1000);
    if (again && !context.final) this.defer(pause, cause, shown);
    if (!again || pause > LONGEST_PAUSE_MS) {
      if (isCancellation(error)) this.board.update(shown, { state: 'failed', message: cause.message });
      else this.board.fail(shown, 'failed', cause);
      throw error;
    }
    this.board.fail(shown, 'waiting', cause);
    const attempt = progress.attempt + 1;
    const summary = `${context.label}: attempt ${attempt} of ${attempts}`;
    if (this.startsOver(pause, context)) throw new StartOver(shown, pause, summary);
    await this.pause(pause, summary);
    progress.attempt = Math.max(progress.attempt, attempt);
  }

  /** Ends an operation inside another one that would have to wait for long: it owes what it was to do. */
  private defer(ms: number, cause: Cause, shown: StepProgress): void {
    if (ms <= LONGEST_WAIT_WITH_PLACE_MS || !this.owes || this.board.progress.committed || !patched('defer')) return;
    const due = dueAfter(ms);
    if (due === null) return;
    this.owed = { ...this.owes, due };
    this.board.fail(shown, 'failed', cause);
    throw deferred(cause, due);
  }

  /**
   * Whether it has to take back what it has done before it can give its place away for that long. Not in a final step:
   * that may have taken effect.
   */
  private startsOver(ms: number, { final }: StepContext): boolean {
    if (ms <= LONGEST_WAIT_WITH_PLACE_MS || !this.place.own || final || this.board.progress.committed) return false;
    return !this.journal.empty && patched('start-over');
  }
}
