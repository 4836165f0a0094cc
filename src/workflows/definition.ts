import type { Duration } from '@temporalio/common';
import type { z } from 'zod';
import type { Owed } from './deferral.js';
import type { Question } from './progress.js';
import type { OperationKind, Remnant } from './step.js';
import type { Bounds, Step } from './steps.js';

/** What an operation is, beside its steps. */
export interface Definition<Input> {
  input: z.ZodType<Input>;
  /** Attempts shared by all steps, the first one included. */
  attempts: number;
  /** Between attempts. */
  backoff: Duration;
  /** Inputs whose first failure ends it: whoever asked tries again by a schedule of his own. */
  once?: (input: Input) => boolean;
  /** How long it usually takes; twice as long is noted as an event and shown. */
  expected: Duration;
  /** Nothing else runs on the server meanwhile. */
  exclusive?: boolean;
  /** Inside another operation it waits for no longer than 2 minutes: it ends, owes this, and is tried again on its own. */
  owes?: (input: Input) => Omit<Owed, 'due'>;
}

/** The workflow's one argument. `operation` must equal the workflow id: a sealed order is good for one operation only. */
export interface Order<Input> {
  operation: string;
  input: Input;
}

/** How an operation ended, for whoever waits for the workflow. */
export interface Ending {
  operation: string;
  outcome: 'succeeded';
  warnings: string[];
}

export interface StepOptions<UndoArgs extends unknown[]> {
  /** Journalled before the step acts; called with the same arguments should the operation have to go back. */
  undo?: [Step<UndoArgs, unknown>, UndoArgs];
  /** The step is skipped unless this is true. */
  when?: boolean;
  /** From here on the operation only goes forward. The step's activity commits it in its own transaction. */
  final?: boolean;
  bounds?: Bounds;
  /** The step takes back what another operation left. */
  takesBack?: Remnant;
}

/** What the steps of an operation are written with. */
export interface Operation {
  readonly id: string;
  step<Args extends unknown[], Result, UndoArgs extends unknown[] = never[]>(
    label: string,
    step: Step<Args, Result>,
    args: Args,
    options?: StepOptions<UndoArgs>,
  ): Promise<Result>;
  /** Waits on a named durable timer; `ms` in milliseconds. */
  wait(label: string, ms: number): Promise<void>;
  /** Asks the operator and waits; null when the deadline passes. */
  answer(question: Question, deadline: Duration): Promise<string | null>;
  /** Something the operator should know though the operation succeeds. */
  warn(message: string): void;
  /** Runs another operation inside this one, in its place. Its failure is this one's, or only a warning. */
  child<Input>(
    workflow: OperationWorkflow<Input>,
    name: string,
    input: Input,
    options?: { failureIs?: 'warning' },
  ): Promise<void>;
}

/** An operation's workflow function, with what others need to know of it. */
export interface OperationWorkflow<Input> {
  (order: Order<Input>): Promise<Ending>;
  readonly kind: OperationKind;
  readonly definition: Definition<Input>;
}
