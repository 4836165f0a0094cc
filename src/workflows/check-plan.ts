import { z } from 'zod';
import type { Finding } from './inspection.js';

/** Input of check-server. */
export const checkPlan = z.strictObject({ tenant: z.string(), server: z.string(), name: z.string() });
export type CheckPlan = z.infer<typeof checkPlan>;

/**
 * Whether CHOM gets into a server. `away`: another login may get in soon; `barred`: none will until somebody mends it.
 * `held`: an operation has the server alone, and what is seen now tells nothing.
 */
export type Contact = { state: 'in' } | { state: 'away' | 'barred'; finding: Finding } | { state: 'held'; by: string };

/** What was wrong where somebody looked. */
export interface Looked {
  /** False: the server itself could not be looked at; what was found says why. */
  server: boolean;
  /** Ids of the sites that were looked at. */
  sites: string[];
  /** `site`: the id of the one that it is about. */
  findings: (Finding & { site?: string })[];
}
