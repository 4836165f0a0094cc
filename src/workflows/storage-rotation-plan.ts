import { z } from 'zod';
import { purgePlan } from './cleaning-plan.js';

/** By this name a rotation owes the removal of the password that it replaced. */
export const OLD_PASSWORD = 'old-password';

/** For so long the old password opens the repository still. */
export const OLD_PASSWORD_HOURS = 24;

/** Input of rotate-storage-credentials and, by a try of what that owes, of retire-storage-credentials. */
export const storageRotationPlan = z.strictObject(purgePlan.shape);
export type StorageRotationPlan = z.infer<typeof storageRotationPlan>;
