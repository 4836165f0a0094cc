import { z } from 'zod';
import { BACKUP_KINDS, backupId } from './backup-plan.js';
import { domainName, PHP_VERSIONS, runsPhp, SITE_TYPES, siteId } from './plans.js';

/** A backup that is to be tried out, and the site as it is now. */
export const verificationPlan = z.strictObject({
  backup: backupId,
  kind: z.enum(BACKUP_KINDS),
  site: siteId,
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  domain: domainName,
  type: z.enum(SITE_TYPES),
  php: z.enum(PHP_VERSIONS).nullable(),
  /** The site has a database. Whether the backup holds it says `kind`. */
  database: z.boolean(),
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
