import {
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  condition,
  defineQuery,
  defineSignal,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  patched,
  setHandler,
  sleep,
  TerminatedFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { operationActivities } from '../activities/operation.js';
import type { Begun } from '../inventory/operations.js';
import type { Member, settlingActivities } from '../activities/settling.js';
import { Board } from './board.js';
import { causeOf, failureOf, type Cause } from './causes.js';
import type { Definition, Ending, Operation, OperationWorkflow, Order, StepOptions } from './definition.js';
import { deferred, dueAfter, type Owed } from './deferral.js';
import { failure, RETRYABLE } from './failures.js';
import { insist } from './insist.js';
import { Journal } from './journal.js';
import { describeLine, lookAfter, WAIT_LABEL } from './line.js';
import { openOrder } from './order.js';
import type { Progress, Question, StepProgress } from './progress.js';
import { settleMember, silence } from './settlement.js';
import type { OperationKind, StepContext } from './step.js';
import { schedule, steps, type Bounds, type Step } from './steps.js';

const settling = steps<ReturnType<typeof settlingActivities>>();
const lifecycle = steps<ReturnType<typeof operationActivities>>();

/** Asked at any time: how far the operation is. */
export const progressQuery = defineQuery<Progress>('progress');
/** The operator's answer to a question that the operation asked. */
export const answerSignal = defineSignal<[name: string, value: string]>('answer');

/** Sent to an operation that waits in line, when it has its place. */
const grantedSignal = defineSignal('granted');

/** Waiting longer is not working. */
const LONGEST_WAIT_WITH_PLACE_MS = 120_000;

/** Out of the body of an operation: it waits without its place, and begins again. */
class StartOver extends Error {
  constructor(
    readonly shown: StepProgress,
    readonly ms: number,
    readonly summary: string,
  ) {
    super(summary);
  }
}

/** One run of an operation: its life from taking the place to recording the outcome (docs/operations.md). */
export class Run<Input> implements Operation {
  readonly id = workflowInfo().workflowId;
  private readonly scope = CancellationScope.current();
  private readonly board: Board;
  private readonly journal: Journal;
  private readonly answers = new Map<string, string>();
  private root = this.id;
  private epoch = 1;
  /** It was told that it has its place. */
  private granted = false;
  /** What it would owe if it ended as deferred; only inside another operation. */
  private owes: Omit<Owed, 'due'> | null = null;
  private owed: Owed | null = null;
  /** The inventory has no row for this operation. */
  private unknown = false;

  constructor(
    private readonly kind: OperationKind,
    private readonly definition: Definition<Input>,
  ) {
    this.board = new Board(this.id, kind, definition.attempts);
    this.journal = new Journal(this.board);
    setHandler(grantedSignal, () => void (this.granted = true));
    setHandler(progressQuery, () => this.progress);
    setHandler(answerSignal, (name, value) => {
      // A message that was not sealed with our key arrives as something else than text and is nobody's answer.
      if (typeof name === 'string' && typeof value === 'string') this.answers.set(name, value);
    });
  }

  async live(order: Order<Input>, body: (op: Operation, input: Input) => Promise<void>): Promise<Ending> {
    const clock = new CancellationScope();
    try {
      await this.begin();
      void clock.run(() => this.watchTheClock()).catch(() => undefined);
      const input = openOrder(order, this.id, this.definition.input);
      if (this.root !== this.id) this.owes = this.definition.owes?.(input) ?? null;
      await this.perform(body, input);
    } catch (error) {
      return await CancellationScope.nonCancellable(() => this.end(error));
    } finally {
      clock.cancel();
    }
    await CancellationScope.nonCancellable(() => this.conclude('succeeded', null));
    return this.ending();
  }

  /** Does what is to be done; from the first step again where it gave its place back meanwhile. */
  private async perform(body: (op: Operation, input: Input) => Promise<void>, input: Input): Promise<void> {
    for (;;) {
      try {
        return await body(this, input);
      } catch (error) {
        if (!(error instanceof StartOver)) throw error;
        const { shown, ms, summary } = error;
        // What cannot be taken back is left for the end, and keeps the place.
        const { epoch, journal } = this;
        await CancellationScope.nonCancellable(() => journal.takeBack({ epoch, goesOn: true }, async () => {}));
        await this.pause(ms, summary);
        if (shown.state === 'waiting') this.board.update(shown, { state: 'failed' });
        this.progress.attempt += 1;
        // Whatever still holds is said again.
        this.progress.warnings.length = 0;
      }
    }
  }

  async step<Args extends unknown[], Result, UndoArgs extends unknown[] = never[]>(
    label: string,
    step: Step<Args, Result>,
    args: Args,
    options: StepOptions<UndoArgs> = {},
  ): Promise<Result> {
    const shown = this.board.show(label, options.when === false ? 'skipped' : 'running');
    if (options.when === false) return undefined as Result;
    const [undone, undoArgs] = options.undo ?? [];
    const undo = undone && undoArgs ? { activity: undone.activity, args: undoArgs } : undefined;
    const context: StepContext = {
      ...this.context(shown.index, label),
      ...(undo && { undo }),
      ...(options.final && { final: true }),
    };
    if (undo) this.journal.add({ context, undo });
    const act = () => this.attempt(shown, step, context, args, options.bounds ?? 'host');
    if (!options.final) return await act();
    // Whether a final step took effect must not hang on when a cancellation arrives.
    this.throwIfCancelled();
    const result = await CancellationScope.nonCancellable(act);
    this.progress.committed = true;
    return result;
  }

  async wait(label: string, ms: number): Promise<void> {
    const shown = this.board.show(label, 'waiting');
    this.defer(ms, { type: 'Deferred', message: label, details: {} }, shown);
    await this.pause(ms, label);
    this.board.update(shown, { state: 'done' });
  }

  async answer(question: Question, deadline: Duration): Promise<string | null> {
    const shown = this.board.show(question.prompt, 'waiting');
    this.board.ask(question);
    const answered = await condition(() => this.answers.has(question.name), deadline);
    this.board.ask(null);
    this.board.update(shown, { state: answered ? 'done' : 'failed' });
    return this.answers.get(question.name) ?? null;
  }

  warn(message: string): void {
    this.board.warn(message);
  }

  async child<ChildInput>(
    workflow: OperationWorkflow<ChildInput>,
    name: string,
    input: ChildInput,
    options: { failureIs?: 'warning' } = {},
  ): Promise<void> {
    const id = `${this.id}/${name}`;
    const ask = { id, kind: workflow.kind, input };
    await this.step(`Ask for ${workflow.kind}`, lifecycle.askChild, [ask], { bounds: 'quick' });
    const shown = this.board.show(workflow.kind, 'running');
    const { typedSearchAttributes, priority } = workflowInfo();
    try {
      const ending = await executeChild(workflow, {
        workflowId: id,
        args: [{ operation: id, input }],
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        typedSearchAttributes,
        staticSummary: `${workflow.kind}, inside ${this.id}`,
        ...(priority && { priority }),
      });
      this.progress.warnings.push(...ending.warnings);
      this.board.update(shown, { state: 'done' });
    } catch (thrown) {
      const error = await CancellationScope.nonCancellable(() => this.settleDead(thrown, id, workflow.kind));
      this.board.update(shown, { state: 'failed', message: causeOf(error).message });
      // Whether we are cancelled is asked of the scope: the child may have been cancelled alone.
      if (options.failureIs !== 'warning' || this.cancelled()) throw error;
      const { type, message, details } = causeOf(error);
      const what = type === 'Deferred' ? workflow.kind : `${workflow.kind} failed`;
      this.warn([`${what}: ${message}`, details.cause, details.next].filter(Boolean).join(' — '));
    }
  }

  /**
   * A child that was terminated, or reset, has recorded nothing: its parent, in whose place it worked, does it. Returns
   * what the parent hears of the child's end.
   */
  private async settleDead(error: unknown, child: string, kind: OperationKind): Promise<unknown> {
    const how = howItDied(error);
    if (!how) return error;
    const member: (Member & { epoch?: number }) | null = await this.insist(settling.takeOverChild, [child]);
    if (member) {
      // Histories of before say nothing of an epoch: then it was not raised.
      this.epoch = member.epoch ?? this.epoch;
      const { root, epoch } = this;
      const settlement = { root, epoch, how, abandoned: () => true };
      const loud = await silence(settlement, { ...member, kind });
      await settleMember(settlement, { ...member, kind }, loud);
    }
    // That the child's run was superseded says nothing of this one, which has just been found to be the one that may act.
    return how === 'reset'
      ? failure('Interrupted', 'Its workflow was reset', { next: `chom op show ${child}` })
      : error;
  }

  private async begin(): Promise<void> {
    const begun: Omit<Begun, 'granted'> & { granted?: boolean } = await CancellationScope.nonCancellable(() =>
      this.insist(lifecycle.beginOperation, [{ exclusive: this.exclusive }]),
    );
    this.root = begun.root;
    this.epoch = begun.epoch;
    // Histories of before there was a line say nothing of it: then the place was there.
    if (!(begun.granted ?? true)) await this.waitInLine(begun.position ?? 1);
  }

  /** Until it is told that it has its place, or looks for itself. A cancellation ends it. */
  private async waitInLine(first: number): Promise<void> {
    let position = first;
    const shown = this.board.show(WAIT_LABEL, 'waiting');
    for (let round = 0; ; round += 1) {
      await condition(() => this.granted, lookAfter(this.id, round, position));
      this.granted = false;
      const found = await CancellationScope.nonCancellable(() =>
        this.insist(lifecycle.lookForPlace, [{ exclusive: this.exclusive }]),
      );
      if (!('granted' in found)) {
        position = found.position;
        this.board.update(shown, { state: 'waiting', message: describeLine(found) });
      } else if (found.granted) {
        this.epoch = found.epoch;
        this.board.update(shown, { state: 'done' });
        return;
      }
    }
  }

  /**
   * Waits, and meanwhile lets others have the place where that takes long and nothing of this operation lies on the
   * server that only the holder may touch. What was true before may not be afterwards: each step checks for itself.
   */
  private async pause(ms: number, summary: string): Promise<void> {
    const mayLeave = this.root === this.id && (this.progress.committed || this.journal.empty);
    if (ms <= LONGEST_WAIT_WITH_PLACE_MS || !mayLeave || !patched('leave-place')) return await sleep(ms, { summary });
    await this.insist(lifecycle.leavePlace, []);
    await sleep(ms, { summary });
    await this.begin();
  }

  /** Ends an operation inside another one that would have to wait for long: it owes what it was to do. */
  private defer(ms: number, cause: Cause, shown: StepProgress): void {
    if (ms <= LONGEST_WAIT_WITH_PLACE_MS || !this.owes || this.progress.committed || !patched('defer')) return;
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
    if (ms <= LONGEST_WAIT_WITH_PLACE_MS || this.root !== this.id || final || this.progress.committed) return false;
    return !this.journal.empty && patched('start-over');
  }

  private async attempt<Args extends unknown[], Result>(
    shown: StepProgress,
    step: Step<Args, Result>,
    context: StepContext,
    args: Args,
    bounds: Bounds,
  ): Promise<Result> {
    for (;;) {
      this.throwIfCancelled();
      this.board.update(shown, { state: 'running', attempt: this.progress.attempt });
      try {
        const { epoch, progress } = this;
        const result = await schedule(step, { ...context, epoch, attempt: progress.attempt }, args, bounds);
        this.board.update(shown, { state: 'done' });
        return result;
      } catch (error) {
        const cause = causeOf(error);
        const again =
          !isCancellation(error) && RETRYABLE[cause.type] && this.progress.attempt < this.definition.attempts;
        const pause = Math.max(msToNumber(this.definition.backoff), (cause.details.retryAfterSeconds ?? 0) * 1000);
        if (again && !context.final) this.defer(pause, cause, shown);
        if (!again || pause > 3_600_000) {
          if (isCancellation(error)) this.board.update(shown, { state: 'failed', message: cause.message });
          else this.board.fail(shown, 'failed', cause);
          throw error;
        }
        this.board.fail(shown, 'waiting', cause);
        const next = this.progress.attempt + 1;
        const summary = `${context.label}: attempt ${next} of ${this.definition.attempts}`;
        if (this.startsOver(pause, context)) throw new StartOver(shown, pause, summary);
        await this.pause(pause, summary);
        this.progress.attempt = Math.max(this.progress.attempt, next);
      }
    }
  }

  /** Ends what did not go well; throws what the workflow shall fail with, or returns when it had been committed. */
  private async end(error: unknown): Promise<Ending> {
    const cause = causeOf(error);
    // Somebody else acts for this operation, or nobody asked for it: there is nothing of ours to undo or to record.
    if (cause.type === 'Superseded' || this.unknown) throw failureOf(cause);
    const cancelled = isCancellation(error) && this.cancelled();
    // Whether a final step took effect, only the inventory knows; if it did not, it will not from here on.
    const { committed } = await this.insist(lifecycle.turnBack, []);
    if (committed) {
      this.progress.committed = true;
      this.warn(cancelled ? 'Cancelled after it had taken effect: what followed was not done.' : cause.message);
      await this.conclude('succeeded', cancelled ? null : cause);
      return this.ending();
    }
    await this.undo();
    await this.conclude(cancelled ? 'cancelled' : 'failed', cancelled ? null : cause);
    if (cancelled) throw error;
    throw failureOf(cause);
  }

  private async undo(): Promise<void> {
    const { epoch } = this;
    await this.journal.takeBack({ epoch }, async ({ index, label }, reason) => {
      this.warn(`Not undone: ${label}: ${reason}`);
      await this.insist(lifecycle.noteNotUndone, [{ step: index, reason }]);
    });
  }

  private async conclude(outcome: 'succeeded' | 'failed' | 'cancelled', cause: Cause | null): Promise<void> {
    const { steps: done, warnings } = this.progress;
    const owed = outcome === 'failed' && cause?.type === 'Deferred' && this.owed;
    await this.insist(lifecycle.concludeOperation, [
      { outcome, cause, warnings, steps: done, overdue: this.board.overdue, ...(owed && { owed }) },
    ]);
  }

  private async insist<Args extends unknown[], Result>(step: Step<Args, Result>, args: Args): Promise<Result> {
    try {
      return await insist(step, this.context(0, step.activity), args);
    } catch (error) {
      if (causeOf(error).type === 'NotFound') this.unknown = true;
      throw error;
    }
  }

  private async watchTheClock(): Promise<void> {
    const due = msToNumber(this.definition.expected) * 2;
    await sleep(due, { summary: 'Twice the expected duration' });
    this.board.noteOverdue();
  }

  private context(index: number, label: string): StepContext {
    const { id: operationId, root, kind, epoch } = this;
    return { operation: operationId, root, kind, epoch, index, label, attempt: this.progress.attempt };
  }

  /** Asked of the workflow's own scope: inside a non-cancellable one the current scope would say no. */
  private cancelled(): boolean {
    return this.scope.consideredCancelled;
  }

  private get exclusive(): boolean {
    return this.definition.exclusive ?? false;
  }

  private throwIfCancelled(): void {
    if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('The operation was cancelled');
  }

  private get progress(): Progress {
    return this.board.progress;
  }

  private ending(): Ending {
    return { operation: this.id, outcome: 'succeeded', warnings: this.progress.warnings };
  }
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
