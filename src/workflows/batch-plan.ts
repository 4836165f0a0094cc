import { z } from 'zod';

/** So many operations a batch has at most, and so many of them work at the same time. */
export const MOST_ITEMS = 20_000;
export const MOST_AT_ONCE = 500;

/** By what rules a batch goes on. */
export const batchRules = z.strictObject({
  concurrency: z.int().min(1).max(MOST_AT_ONCE),
  /** The same on each server; null: as many as the server takes. */
  perServer: z.int().min(1).max(MOST_AT_ONCE).nullable(),
  /** The first so many are waited for; then so many milliseconds pass, or (null) somebody approves. */
  canary: z.strictObject({ first: z.int().min(1).max(MOST_ITEMS), waitMs: z.int().min(0).nullable() }).nullable(),
  /** With so many failures, or so many percent of all, it is paused. */
  failures: z.strictObject({ most: z.number().gt(0).max(MOST_ITEMS), percent: z.boolean() }).nullable(),
});
export type BatchRules = z.infer<typeof batchRules>;

/** How many operations of a batch, or of one of its phases, are how far. */
export const BATCH_ITEM_STATES = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'] as const;
export type ItemCounts = Record<(typeof BATCH_ITEM_STATES)[number], number>;

/** How far a batch is, for its coordinator. */
export interface BatchAdvance {
  state: 'running' | 'paused' | 'cancelling' | 'ended';
  /** What is told of it in the Temporal UI. */
  details: string;
  /** Operations are at work, whose ends it hears of. */
  working: boolean;
  /** It goes on at this time (milliseconds, workflow time), also where it hears of nothing. */
  lookAt: number | null;
}
