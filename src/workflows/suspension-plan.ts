import { z } from 'zod';
import { repairPlan } from './plans.js';

/** Input of suspend-site: the site as it is on record. */
export const suspensionPlan = repairPlan.extend({
  /** For whoever asks later; visitors do not see it. */
  reason: z.string().max(500).nullable(),
});
