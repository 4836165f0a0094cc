import { z } from 'zod';

/** Input of reboot-server. */
export const rebootPlan = z.strictObject({
  tenant: z.string(),
  server: z.string(),
  name: z.string(),
  /** Only where updates want it. */
  ifPending: z.boolean(),
});
export type RebootPlan = z.infer<typeof rebootPlan>;

/** A server before it is restarted. What worked then has to work afterwards. */
export interface Before {
  /** The boot that is to end. */
  boot: string;
  due: boolean;
  services: string[];
  /** Sites that answered. */
  answered: Answering[];
  /** Domains of those in service that did not. */
  silent: string[];
}

/** How a site answered. */
export interface Answering {
  site: string;
  domain: string;
  version: string;
  secure: boolean;
  suspended: boolean;
}
