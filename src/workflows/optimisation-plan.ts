import { z } from 'zod';
import { domainName, siteId } from './plans.js';

/** Input of optimise-database: a site that has one. */
export const optimisationPlan = z.strictObject({
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  site: siteId,
  domain: domainName,
});
export type OptimisationPlan = z.infer<typeof optimisationPlan>;

/** A table that is rebuilt. */
export interface Chosen {
  /** Its name as hexadecimal UTF-8: the site gives it, and anything may stand in it. */
  table: string;
  /** What it takes up, free space inside included, and how much of that is free. */
  bytes: number;
  freeBytes: number;
}

/**
 * Why a table with space to reclaim was left: `locking` visitors would have to wait for it, `no-room` it needs more than is
 * free, `busy` somebody works on it, `time` there was none left, `failed` MariaDB said so.
 */
export type Reason = 'locking' | 'no-room' | 'busy' | 'time' | 'failed';

export interface Skipped {
  table: string;
  bytes: number;
  why: Reason;
}

/** What is to be done with the tables of a database. */
export interface Choice {
  tables: number;
  chosen: Chosen[];
  skipped: Skipped[];
}

/** What rebuilding them came to. */
export interface Rebuilt {
  tables: number;
  reclaimedBytes: number;
  skipped: Skipped[];
}
