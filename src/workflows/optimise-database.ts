import type { optimisationActivities } from '../activities/optimisation.js';
import { operation } from './operation.js';
import { optimisationPlan } from './optimisation-plan.js';
import { steps } from './steps.js';

const upkeep = steps<ReturnType<typeof optimisationActivities>>();

/**
 * Tells MariaDB afresh what the tables of a site hold, and rebuilds those of which much is free space. One table at a
 * time, while the site serves; nothing needs undoing, for a rebuild that ends half-way leaves the table as it was.
 */
export const optimiseDatabase = operation(
  'optimise-database',
  { input: optimisationPlan, attempts: 2, backoff: '60 seconds', expected: '30 minutes' },
  async (op, plan) => {
    const choice = await op.step('Look at the tables', upkeep.chooseTables, [plan], { bounds: 'quick' });
    await op.step('Analyse the tables', upkeep.analyseTables, [plan]);
    const rebuilt = await op.step('Rebuild what is mostly free', upkeep.rebuildTables, [plan, choice], {
      bounds: 'transfer',
    });
    await op.step('Record what it came to', upkeep.recordOptimisation, [plan, choice, rebuilt], {
      final: true,
      bounds: 'quick',
    });
  },
);
