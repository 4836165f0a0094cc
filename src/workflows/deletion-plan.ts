import { z } from 'zod';
import { backupPlan } from './backup-plan.js';
import { repairPlan, siteId } from './plans.js';

/** By this name a deletion owes that nothing of its site is left on the server. */
export const SITE_REMOVAL = 'site-removal';

/** By this name a deletion owes the end of the certificate and key that it keeps. */
export const KEPT_CERTIFICATE = 'kept-certificate';

/** For so long certificate and key of a deleted site stay on its server, for whoever has to take the name up elsewhere. */
export const CERTIFICATE_DAYS = 7;

/** Input of delete-site: the site as it is on record. */
export const deletionPlan = repairPlan.extend({
  /** The last backup of the site; null: whoever asked wanted none. */
  final: backupPlan.nullable(),
});
export type DeletionPlan = z.infer<typeof deletionPlan>;

/** Input of discard-certificate. */
export const discardPlan = z.strictObject({
  tenant: z.string(),
  server: z.string(),
  serverName: z.string(),
  site: siteId,
});
export type DiscardPlan = z.infer<typeof discardPlan>;
