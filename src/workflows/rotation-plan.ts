import { z } from 'zod';

/** By this name a rotation owes the removal of the key that it replaced. */
export const OLD_KEY = 'old-key';

/** For so long the old key still gets in unless its caller says otherwise, and at most. */
export const OVERLAP_HOURS = 24;
export const MOST_OVERLAP_HOURS = 30 * 24;

/** Input of retire-credentials; whose old key it is stands in its id (inventory/tries.ts). */
export const retirementPlan = z.strictObject({ server: z.string(), tenant: z.string(), name: z.string() });
export type RetirementPlan = z.infer<typeof retirementPlan>;

/** Input of rotate-credentials. */
export const rotationPlan = retirementPlan.extend({
  /** The old key goes at once, and so does every other that was replaced and still gets in. */
  emergency: z.boolean(),
  /** Without an emergency: for so long the old key still gets in. */
  overlapHours: z.int().min(1).max(MOST_OVERLAP_HOURS),
});
export type RotationPlan = z.infer<typeof rotationPlan>;

/** The key that a rotation replaced, and by which, as ids of credentials. */
export interface Replaced {
  old: string;
  by: string;
  /** It does not wait for a copy of CHOM's own data. */
  emergency: boolean;
}
