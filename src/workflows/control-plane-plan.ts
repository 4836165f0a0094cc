import { z } from 'zod';

/** Input of back-up-control-plane. */
export const controlPlanePlan = z.strictObject({
  tenant: z.string(),
  /** Where a copy is laid down; null: nowhere. */
  storage: z.string().nullable(),
});
export type ControlPlanePlan = z.infer<typeof controlPlanePlan>;

/** A backup of CHOM itself that was made. */
export interface MadeControlPlaneBackup {
  name: string;
  file: string;
  bytes: number;
  sha256: string;
  /** Where the copy lies. */
  uploaded: string | null;
}
