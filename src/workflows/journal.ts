import type { Board } from './board.js';
import type { StepContext, Undo } from './step.js';
import { takeBack } from './undoing.js';

/** A step that can be taken back. */
interface Done {
  context: StepContext;
  undo: Undo;
}

/** What an operation has to take back, as its run knows it; the inventory has the same, should the run die. */
export class Journal {
  private entries: Done[] = [];

  constructor(private readonly board: Board) {}

  get empty(): boolean {
    return this.entries.length === 0;
  }

  add(done: Done): void {
    this.entries.push(done);
  }

  /**
   * Takes everything back, the newest first. `goesOn`: to do it again later. What could not be taken back stays, and
   * `tell` hears of it and why.
   */
  async takeBack(
    { epoch, goesOn }: Pick<StepContext, 'epoch' | 'goesOn'>,
    tell: (context: StepContext, reason: string) => Promise<void>,
  ): Promise<void> {
    for (const done of this.entries.splice(0).toReversed()) {
      const { undo: _, ...rest } = done.context;
      const shown = this.board.progress.steps[rest.index - 1];
      if (shown) this.board.update(shown, { state: 'undoing' });
      const context = { ...rest, epoch, undoes: rest.index, ...(goesOn && { goesOn }) };
      const reason = (await takeBack(context, done.undo))?.message;
      if (shown) this.board.update(shown, reason ? { state: 'not-undone', message: reason } : { state: 'undone' });
      if (!reason) continue;
      this.entries.unshift(done);
      await tell(done.context, reason);
    }
  }
}
