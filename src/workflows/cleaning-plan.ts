import { z } from 'zod';
import { backupId } from './backup-plan.js';
import { domainName, siteId } from './plans.js';

/** Input of purge-backups: one repository of a deleted site. */
export const purgePlan = z.strictObject({
  site: siteId,
  tenant: z.string(),
  /** The site's own, which the operation is in line on. Nothing of it is done there. */
  server: z.string(),
  serverName: z.string(),
  domain: domainName,
  repository: z.string(),
  storage: z.string(),
  storageName: z.string(),
});
export type PurgePlan = z.infer<typeof purgePlan>;

/** Input of clean-backups: one repository of a site. */
export const cleaningPlan = purgePlan.extend({
  /** What somebody was shown and agreed to: nothing else goes. Null: whatever the policy removes. */
  confirmed: z.array(backupId).max(10_000).nullable(),
  /** Somebody has read what speaks against removing anything, and goes on. */
  despiteFindings: z.boolean(),
});
export type CleaningPlan = z.infer<typeof cleaningPlan>;

/** What lies in a repository before anything is removed. */
export interface Looked {
  /** What all of its files take up. */
  bytes: number;
  /** What is odd there and stops nothing, or was read and passed over; a sentence each. */
  findings: string[];
}
