import { ApplicationFailure, Context } from '@temporalio/activity';
import { proceed, type Proceeded } from '../inventory/batch-progress.js';
import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import type { Item } from '../inventory/batch-items.js';
import type { BatchAdvance } from '../workflows/batch-plan.js';
import { failure, isFailureType } from '../workflows/failures.js';
import { nameAndMessageOf } from '../workflows/thrown.js';
import { isUnreadable } from '../workflows/unreadable.js';
import type { Deps } from './deps.js';
import { beating } from './heartbeat.js';

/** How the operations of a batch are asked for: as programs do, each checked as by hand. */
export interface Members {
  /** Asked for twice it is asked for once. @throws what its verb throws; TemporalUnavailable, InventoryUnavailable */
  ask(batch: Batch, item: Item): Promise<void>;
  /** One that has ended is left alone. @throws TemporalUnavailable, InventoryUnavailable */
  cancel(batch: Batch, operation: string): Promise<void>;
}

/** So many operations are asked for at the same time. */
const ASKED_AT_ONCE = 20;

/** Of these nothing was learnt about the operation: it is asked for again, by Temporal's own retries. */
const AWAY: readonly string[] = ['InventoryUnavailable', 'TemporalUnavailable', 'NoWorker'];

/**
 * What a coordinator does: no steps of an operation, for it has no place, no claim and no epoch. All that it knows stands in
 * the rows, so that whoever looks next goes on.
 */
export function coordinationActivities(deps: Pick<Deps, 'inventory' | 'log'>, members: Members) {
  const { inventory, log } = deps;

  /** Returns whether it was refused, and so has ended. */
  async function ask(batch: Batch, item: Item): Promise<boolean> {
    try {
      await members.ask(batch, item);
      return false;
    } catch (error) {
      const type = error instanceof ApplicationFailure && isFailureType(error.type) ? error.type : 'Unexpected';
      if (AWAY.includes(type)) throw error;
      if (type === 'Unexpected')
        log.error({ batch: batch.id, operation: item.operation, err: error }, 'unexpected error');
      const reason = error instanceof Error ? error.message : String(error);
      await inventory.transaction(async (trx) => {
        await batchItems.end(trx, item, 'failed', { failureType: type, reason });
      });
      return true;
    }
  }

  /** Once: it may take long until it has ended, and each look would ask again. */
  async function cancel(batch: Batch, operation: string): Promise<void> {
    try {
      await members.cancel(batch, operation);
    } catch (error) {
      const { type } = error instanceof ApplicationFailure ? error : {};
      if (!isFailureType(type) || AWAY.includes(type)) throw error;
      // Its workflow is gone: it is settled, and holds nobody else up meanwhile.
      return log.warn({ batch: batch.id, operation, err: error }, 'it could not be asked to stop');
    }
    await inventory.transaction(async (trx) => await batchItems.noteCancelled(trx, operation));
  }

  async function advance(id: string, now: number): Promise<Proceeded> {
    for (;;) {
      stopWithWorker();
      const proceeded = await inventory.transaction(async (trx) => await proceed(trx, id, now));
      const { batch } = proceeded;
      let refused = false;
      for (let n = 0; n < proceeded.ask.length; n += ASKED_AT_ONCE) {
        stopWithWorker();
        const some = proceeded.ask.slice(n, n + ASKED_AT_ONCE);
        // All are waited for: what was asked for and is not known to be costs another look.
        const asked = await Promise.allSettled(some.map(async (item) => await ask(batch, item)));
        for (const one of asked) {
          if (one.status === 'rejected') throw one.reason;
          refused ||= one.value;
        }
      }
      for (const operation of proceeded.cancel) await cancel(batch, operation);
      // A refusal is an end: others may begin, or the batch is to pause.
      if (!refused) return proceeded;
    }
  }

  /** A failure of ours is for Temporal's retries here, unless there is nothing to coordinate. */
  async function coordinating<Result>(id: unknown, act: (id: string) => Promise<Result>): Promise<Result> {
    try {
      if (isUnreadable(id)) throw failure('Forbidden', `Which batch it is is ${id.chomUnreadable}`);
      if (typeof id !== 'string') throw failure('InvalidInput', 'That names no batch');
      return await beating(deps, async () => await act(id));
    } catch (error) {
      const { type } = error instanceof ApplicationFailure ? error : {};
      if (type === 'NotFound' || type === 'Forbidden' || type === 'InvalidInput') throw error;
      if (type !== 'WorkerLeft') log.warn({ batch: id, err: error }, 'a batch could not go on; it is tried again');
      throw ApplicationFailure.retryable(nameAndMessageOf(error), type ?? 'Unexpected');
    }
  }

  return {
    /** Has a batch go on, as far as it can now. `now`: milliseconds, workflow time. @throws NotFound */
    async advanceBatch(batch: string, now: number): Promise<BatchAdvance> {
      return await coordinating(batch, async (id) => {
        const { batch: row, standing, lookAt } = await advance(id, now);
        const { item } = standing.phases;
        const { running } = item;
        const after = [standing.phases.then, standing.phases.catch, standing.phases.finally];
        const working = running > 0 || after.some((counts) => counts.running > 0);
        return { state: row.state, details: describe(row, standing), working, lookAt };
      });
    },

    /** What has not begun never will, and what has is asked to stop. One that has ended stays as it is. @throws NotFound */
    async cancelBatch(batch: string): Promise<void> {
      await coordinating(batch, async (id) => {
        await inventory.transaction(async (trx) => {
          const { state } = await batches.lock(trx, id);
          if (state !== 'ended') await batches.change(trx, id, { state: 'cancelling', pausedBy: null, reason: null });
        });
      });
    },
  };
}

function stopWithWorker(): void {
  if (Context.current().cancellationSignal.aborted) throw ApplicationFailure.retryable('the worker left', 'WorkerLeft');
}

/** For the Temporal UI, as Markdown. */
function describe({ name, state, outcome, reason }: Batch, { phases }: Proceeded['standing']): string {
  const counts = Object.entries(phases.item).filter(([, count]) => count > 0);
  const lines = counts.map(([which, count]) => `- ${which}: ${count}`);
  return [`**${name}** ${outcome ?? state}${reason === null ? '' : `: ${reason}`}`, ...lines].join('\n');
}
