import { setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Cause } from './causes.js';
import type { OperationKind } from './step.js';
import { describeProgress, type Progress, type Question, type StepProgress } from './progress.js';

/** Where an operation writes up how far it is: for the `progress` query, and as current details in the Temporal UI. */
export class Board {
  readonly progress: Progress;
  private late = false;

  constructor(kind: OperationKind, attempts: number) {
    const nothing = { steps: [], warnings: [], question: null };
    this.progress = { operation: workflowInfo().workflowId, kind, attempts, attempt: 1, committed: false, ...nothing };
  }

  /** Adds a step; its index is its position, from 1. */
  show(label: string, state: StepProgress['state']): StepProgress {
    const { steps, attempt } = this.progress;
    const entry: StepProgress = { index: steps.length + 1, label, state, attempt, startedAt: Date.now() };
    steps.push(entry);
    this.draw();
    return entry;
  }

  update(entry: StepProgress, change: Partial<StepProgress>): void {
    Object.assign(entry, change);
    if (change.state === 'done') delete entry.message;
    if (change.state !== 'running' && change.state !== 'waiting') entry.endedAt = Date.now();
    this.draw();
  }

  /** An attempt of the step failed: another one follows, or (`failed`) none. */
  fail(entry: StepProgress, state: 'waiting' | 'failed', { type, message, details: { output } }: Cause): void {
    const failed = { attempt: entry.attempt, at: Date.now(), type, message, ...(output !== undefined && { output }) };
    (entry.failures ??= []).push(failed);
    this.update(entry, { state, message });
  }

  /** Shows a question, or with null that there is none any more. */
  ask(question: Question | null): void {
    this.progress.question = question;
    this.draw();
  }

  warn(message: string): void {
    this.progress.warnings.push(message);
    this.draw();
  }

  /** It takes more than twice as long as expected. */
  get overdue(): boolean {
    return this.late;
  }

  noteOverdue(): void {
    this.late = true;
    this.draw();
  }

  private draw(): void {
    const overdue = this.late ? '\n⚠ It takes more than twice as long as expected.' : '';
    setCurrentDetails(describeProgress(this.progress) + overdue);
  }
}
