import { z } from 'zod';
import { maybeTime, named, text, time } from './values.js';

const state = z.enum(['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped']);
const count = z.int();

/** A batch or chain, with how many of its operations are in each state. */
export const batch = named(
  'Batch',
  z.strictObject({
    batch: z.string().describe('Its id'),
    kind: z.enum(['batch', 'chain']),
    name: z.string(),
    status: z.enum(['running', 'paused', 'cancelling', 'ended', 'succeeded', 'partly', 'failed', 'cancelled']),
    reason: text,
    round: z.int(),
    priority: z.enum(['high', 'default', 'low']),
    taskQueue: z.string(),
    concurrency: z.int(),
    perServer: z.int().nullable(),
    total: count,
    pending: count,
    running: count,
    succeeded: count,
    failed: count,
    cancelled: count,
    skipped: count,
    askedAt: time,
    startsAt: maybeTime,
    endedAt: maybeTime,
  }),
);

export const item = named(
  'Item',
  z.strictObject({
    item: z.string(),
    phase: z.enum(['item', 'then', 'catch', 'finally']),
    ordinal: z.int(),
    verb: z.string(),
    target: z.string(),
    operation: text,
    status: state,
    error: z.strictObject({ type: text, message: text }).nullable(),
    startedAt: maybeTime,
    endedAt: maybeTime,
  }),
);

export const batches = z.strictObject({ batches: z.array(batch) });
export const wholeBatch = batch.extend({ items: z.array(item) });

/** A batch that was followed: to its end, or as it goes on by itself. */
export const followedBatch = z.union([
  z.strictObject({ batch: z.string(), name: z.string(), status: z.literal('running') }),
  batch.extend({ notDone: z.array(item) }),
]);
export type BatchDocument = z.infer<typeof batch>;
export type ItemDocument = z.infer<typeof item>;
