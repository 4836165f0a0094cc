import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import type { Item } from '../inventory/batch-items.js';
import type { BatchPhase } from '../inventory/schema.js';
import type { ItemCounts } from '../workflows/batch-plan.js';
import type { BatchDocument, ItemDocument } from './documents/batch.js';
import { EXIT } from './problem.js';
import { total } from './watch-batch.js';

/** A batch as programs read it. */
export function batchDocument(batch: Batch, phases: Record<BatchPhase, ItemCounts>): BatchDocument {
  const { id, kind, name, priority, taskQueue, round, reason, askedAt, startsAt, endedAt, rules } = batch;
  const { concurrency, perServer } = rules;
  return {
    ...{ batch: id, kind, name, status: statusOf(batch), reason, round, priority, taskQueue, concurrency, perServer },
    ...{ total: total(phases.item), ...phases.item, askedAt, startsAt, endedAt },
  };
}

/** One of its operations. */
export function itemDocument(item: Item): ItemDocument {
  const { phase, ordinal, verb, target, operation, state, failureType, reason, startedAt, endedAt } = item;
  const error = failureType === null && reason === null ? null : { type: failureType, message: reason };
  const about = { item: batchItems.keyOf(item), phase, ordinal, verb, target, operation };
  return { ...about, status: state, error, startedAt, endedAt };
}

/** How it ended, or how it stands. */
export function statusOf({ outcome, state }: Batch): BatchDocument['status'] {
  return outcome ?? state;
}

/** What a command that followed it ends with. */
export function exitOf({ outcome }: Batch): number {
  if (outcome === 'partly') return EXIT.partly;
  return outcome === 'failed' || outcome === 'cancelled' ? EXIT.failed : EXIT.ok;
}
