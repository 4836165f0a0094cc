import { CancellationScope, condition, defineQuery, defineSignal, setHandler, sleep } from '@temporalio/workflow';
import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { operationActivities } from '../activities/operation.js';
import { Attempts, StartOver } from './attempts.js';
import { Board } from './board.js';
import { throwIfCancelled } from './cancellation.js';
import { describeFailure, runChild } from './child.js';
import { Conclusion } from './conclusion.js';
import type { Definition, Ending, Operation, OperationWorkflow, Order, StepOptions } from './definition.js';
import { Journal } from './journal.js';
import { openOrder } from './order.js';
import { Place } from './place.js';
import type { Progress, Question } from './progress.js';
import type { OperationKind, StepContext } from './step.js';
import { steps, type Step } from './steps.js';

const lifecycle = steps<ReturnType<typeof operationActivities>>();

/** Asked at any time: how far the operation is. */
export const progressQuery = defineQuery<Progress>('progress');
/** The operator's answer to a question that the operation asked. */
export const answerSignal = defineSignal<[name: string, value: string]>('answer');

/**
 * One run of an operation: its life from taking the place to recording the outcome (docs/operations.md). It holds
 *
 * - a `Place`: by what right it works, and how it waits in line;
 * - `Attempts`: how often a step is tried, and what happens until it is tried again;
 * - a `Journal`: what it has to take back;
 * - a `Conclusion`: how it ends;
 * - a `Board`: all that is shown of it.
 */
export class Run<Input> implements Operation {
  /** The workflow's own: inside a non-cancellable scope the current one would say that nothing was cancelled. */
  private readonly scope = CancellationScope.current();
  private readonly place: Place;
  private readonly board: Board;
  private readonly journal: Journal;
  private readonly attempts: Attempts;
  private readonly conclusion: Conclusion;
  private readonly answers = new Map<string, string>();

  constructor(
    kind: OperationKind,
    private readonly definition: Definition<Input>,
  ) {
    this.board = new Board(kind, definition.attempts);
    this.place = new Place(kind, definition.exclusive ?? false, this.board);
    this.journal = new Journal(this.board);
    this.attempts = new Attempts(definition, this.place, this.board, this.journal);
    this.conclusion = new Conclusion(this.place, this.board, this.journal, this.attempts);
    setHandler(progressQuery, () => this.board.progress);
    setHandler(answerSignal, (name, value) => {
      // A message that was not sealed with our key arrives as something else than text and is nobody's answer.
      if (typeof name === 'string' && typeof value === 'string') this.answers.set(name, value);
    });
  }

  get id(): string {
    return this.place.id;
  }

  /** @throws what it failed with, once that is recorded */
  async live(order: Order<Input>, body: (op: Operation, input: Input) => Promise<void>): Promise<Ending> {
    const clock = new CancellationScope();
    try {
      await this.place.begin();
      void clock.run(() => this.watchTheClock()).catch(() => undefined);
      const input = openOrder(order, this.id, this.definition.input);
      if (this.definition.once?.(input)) this.board.progress.attempts = 1;
      if (!this.place.own) this.attempts.owes = this.definition.owes?.(input) ?? null;
      await this.perform(body, input);
    } catch (error) {
      return await CancellationScope.nonCancellable(() => this.conclusion.fail(error, this.cancelled));
    } finally {
      clock.cancel();
    }
    return await CancellationScope.nonCancellable(() => this.conclusion.succeed());
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
        const { epoch } = this.place;
        await CancellationScope.nonCancellable(() => this.journal.takeBack({ epoch, goesOn: true }, async () => {}));
        await this.attempts.pause(ms, summary);
        if (shown.state === 'waiting') this.board.update(shown, { state: 'failed' });
        this.board.progress.attempt += 1;
        // Whatever still holds is said again.
        this.board.progress.warnings.length = 0;
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
      ...this.place.context(shown.index, label),
      ...(undo && { undo }),
      ...(options.final && { final: true }),
      ...(options.takesBack && { takesBack: options.takesBack }),
    };
    if (undo) this.journal.add({ context, undo });
    const act = () => this.attempts.run(shown, step, context, args, options.bounds ?? 'host');
    if (!options.final) return await act();
    // Whether a final step took effect must not hang on when a cancellation arrives.
    throwIfCancelled();
    const result = await CancellationScope.nonCancellable(act);
    this.board.progress.committed = true;
    return result;
  }

  async wait(label: string, ms: number): Promise<void> {
    const shown = this.board.show(label, 'waiting');
    await this.attempts.wait(shown, label, ms);
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
    const { kind } = workflow;
    await this.step(`Ask for ${kind}`, lifecycle.askChild, [{ id, kind, input }], { bounds: 'quick' });
    try {
      const { warnings } = await runChild(this.place, this.board, { workflow, id, input });
      for (const warning of warnings) this.warn(warning);
    } catch (error) {
      // Whether we are cancelled is asked of the scope: the child may have been cancelled alone.
      if (options.failureIs !== 'warning' || this.cancelled) throw error;
      this.warn(describeFailure(error, workflow));
    }
  }

  private async watchTheClock(): Promise<void> {
    const due = msToNumber(this.definition.expected) * 2;
    await sleep(due, { summary: 'Twice the expected duration' });
    this.board.noteOverdue();
  }

  private get cancelled(): boolean {
    return this.scope.consideredCancelled;
  }
}
