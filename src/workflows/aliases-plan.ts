import { z } from 'zod';
import { domainName, repairPlan } from './plans.js';

/** Input of change-aliases: the site as it shall be. */
export const aliasesPlan = repairPlan.extend({
  /** Its aliases as they were when it was asked for: whoever changed them since is not overruled. */
  before: z.array(domainName).max(99),
});
export type AliasesPlan = z.infer<typeof aliasesPlan>;

/** What comes and what goes. */
export function changesOf({ aliases, before }: Pick<AliasesPlan, 'aliases' | 'before'>) {
  return {
    added: aliases.filter((name) => !before.includes(name)),
    removed: before.filter((name) => !aliases.includes(name)),
  };
}
