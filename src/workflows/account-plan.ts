import { z } from 'zod';

/** Input of roll-acme-account. */
export const accountPlan = z.strictObject({
  tenant: z.string(),
  /** The account at the second authority. */
  fallback: z.boolean(),
});
export type AccountPlan = z.infer<typeof accountPlan>;
