import { setTimeout as sleep } from 'node:timers/promises';
import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import type { Item } from '../inventory/batch-items.js';
import type { BatchPhase } from '../inventory/schema.js';
import type { ItemCounts } from '../workflows/batch-plan.js';
import { failure } from '../workflows/failures.js';
import type { Chom } from './open.js';
import { nobodyTakes } from './pollers.js';

/** A batch as it was last seen. */
export interface SeenBatch {
  batch: Batch;
  phases: Record<BatchPhase, ItemCounts>;
  /** Those that began or ended since the last look, some of them again; at the first look all that are at work. */
  changed: Item[];
}

export interface WatchBatchOptions {
  /** Ends the watching, not the batch; `watchBatch` rejects with its reason. */
  signal?: AbortSignal;
  onSeen?: (seen: SeenBatch) => void;
  /** Rejects with `NoWorker` when for so long, in milliseconds, nobody took its coordinator up. */
  workerWithin?: number;
}

const ENDED = ['succeeded', 'failed', 'cancelled', 'skipped'] as const;

const POLL_MS = 500;
/** Clocks of several machines write when something began. */
const CLOCKS_MS = 10_000;

/**
 * Follows a batch to its end, well or not. Temporal and the workers may be away meanwhile: only the rows say how far it is.
 * @throws NotFound; NoWorker; InventoryUnavailable
 */
export async function watchBatch(chom: Chom, id: string, options: WatchBatchOptions = {}): Promise<SeenBatch> {
  const { signal, onSeen = () => {}, workerWithin } = options;
  const { tenant, inventory } = chom;
  const began = Date.now();
  let asksAgain = began + (workerWithin ?? 0);
  const recently = () => new Date(Date.now() - CLOCKS_MS).toISOString();
  let since = recently();
  for (let first = true; ; first = false) {
    signal?.throwIfAborted();
    const looked = recently();
    // The row before its items: what it says of its end is true of all of them then.
    const batch = await batches.byId(inventory.db, id, { tenant });
    const { db } = inventory;
    // What has been at work for long is shown, too; what ended long ago is only counted.
    const working = await batchItems.list(db, id, { states: ['running'], ...(!first && { since }) });
    const changed = [...working, ...(await batchItems.list(db, id, { states: ENDED, since }))];
    const seen = { batch, phases: await batchItems.counts(db, id), changed };
    since = looked;
    onSeen(seen);
    if (batch.state === 'ended') return seen;
    const begun = seen.phases.item.pending < total(seen.phases.item);
    if (workerWithin !== undefined && !begun && batch.state === 'running' && Date.now() >= asksAgain) {
      asksAgain = Date.now() + 2000;
      const { taskQueue } = batch;
      if (await nobodyTakes({ ...chom, config: { ...chom.config, taskQueue } }, id)) throw noWorker(batch);
    }
    await sleep(POLL_MS, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

/** How many there are. */
export function total(counts: ItemCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function noWorker({ id, taskQueue }: Batch) {
  return failure('NoWorker', `No worker coordinates batches from task queue ${taskQueue}`, {
    cause: 'none has asked for work; the batch is asked for and begins as soon as one does',
    next: `chom worker (or chom dev), then: chom batch watch ${id}`,
  });
}
