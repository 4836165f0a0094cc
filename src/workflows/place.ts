import {
  CancellationScope,
  condition,
  defineSignal,
  patched,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { operationActivities } from '../activities/operation.js';
import type { Begun } from '../inventory/operations.js';
import type { Board } from './board.js';
import { causeOf } from './causes.js';
import { insist } from './insist.js';
import { describeLine, lookAfter, WAIT_LABEL } from './line.js';
import type { OperationKind, StepContext } from './step.js';
import { steps, type Step } from './steps.js';

const lifecycle = steps<ReturnType<typeof operationActivities>>();

/** Sent to an operation that waits in line, when it has its place. */
const grantedSignal = defineSignal('granted');

/** Waiting longer is not working. */
export const LONGEST_WAIT_WITH_PLACE_MS = 120_000;

/** By what right an operation works: its place in line, and the epoch at which it writes (docs/operations.md). */
export class Place {
  readonly id = workflowInfo().workflowId;
  /** The operation whose place it is. */
  root = this.id;
  epoch = 1;
  /** The inventory has no row for this operation. */
  unknown = false;
  /** It was told that it has its place. */
  private granted = false;

  constructor(
    private readonly kind: OperationKind,
    /** Alone on its server. */
    private readonly exclusive: boolean,
    private readonly board: Board,
  ) {
    setHandler(grantedSignal, () => void (this.granted = true));
  }

  /** False of an operation inside another one, in whose place it works. */
  get own(): boolean {
    return this.root === this.id;
  }

  /** What a step's activity is told, index 0 where it is none of the operation's own. */
  context(index: number, label: string): StepContext {
    const { id: operation, root, kind, epoch } = this;
    return { operation, root, kind, epoch, index, label, attempt: this.board.progress.attempt };
  }

  /** Does what begins or ends an operation, in the inventory, however long that is away. */
  async insist<Args extends unknown[], Result>(step: Step<Args, Result>, args: Args): Promise<Result> {
    try {
      return await insist(step, this.context(0, step.activity), args);
    } catch (error) {
      if (causeOf(error).type === 'NotFound') this.unknown = true;
      throw error;
    }
  }

  /** The operation's first act: this run may write from here on, and has its place. */
  async begin(): Promise<void> {
    const { exclusive } = this;
    const begun: Omit<Begun, 'granted'> & { granted?: boolean } = await CancellationScope.nonCancellable(() =>
      this.insist(lifecycle.beginOperation, [{ exclusive }]),
    );
    this.root = begun.root;
    this.epoch = begun.epoch;
    // Histories of before there was a line say nothing of it: then the place was there.
    if (!(begun.granted ?? true)) await this.waitInLine(begun.position ?? 1);
  }

  /**
   * Waits, and meanwhile lets others have the place where that takes long and nothing of this operation lies on the
   * server that only the holder may touch (`mayLeave`). What was true before may not be afterwards: each step checks for
   * itself.
   */
  async pause(ms: number, summary: string, mayLeave: boolean): Promise<void> {
    const leaves = ms > LONGEST_WAIT_WITH_PLACE_MS && this.own && mayLeave && patched('leave-place');
    if (leaves) await this.insist(lifecycle.leavePlace, []);
    await sleep(ms, { summary });
    if (leaves) await this.begin();
  }

  /** Until it is told that it has its place, or looks for itself. A cancellation ends it. */
  private async waitInLine(first: number): Promise<void> {
    let position = first;
    const { exclusive } = this;
    const shown = this.board.show(WAIT_LABEL, 'waiting');
    for (let round = 0; ; round += 1) {
      await condition(() => this.granted, lookAfter(this.id, round, position));
      this.granted = false;
      const found = await CancellationScope.nonCancellable(() => this.insist(lifecycle.lookForPlace, [{ exclusive }]));
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
}
