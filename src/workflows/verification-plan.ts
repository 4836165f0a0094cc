import type { z } from 'zod';
import { backupPlan } from './backup-plan.js';
import { runsPhp } from './plans.js';

/** A backup that is to be tried out, and the site as it is now. */
export const verificationPlan = backupPlan.pick({
  ...{ backup: true, kind: true, site: true, tenant: true, server: true, serverName: true },
  ...{ domain: true, type: true, php: true, database: true },
});
export type VerificationPlan = z.infer<typeof verificationPlan>;

/** What the first page of the restored site answered. */
export interface TriedPage {
  status: number;
  bytes: number;
}

/** What a backup holds, as its manifest says. */
interface Held {
  files: object | null;
  database: object | null;
}

/** Whether the site's first page can be asked for: it runs PHP, and the backup holds all that it needs. */
export function answersPage({ type, database }: VerificationPlan, held: Held): boolean {
  return runsPhp(type) && held.files !== null && (!database || held.database !== null);
}
