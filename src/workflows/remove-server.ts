import type { serverActivities } from '../activities/server.js';
import { operation } from './operation.js';
import { removalPlan } from './plans.js';
import { steps } from './steps.js';

const server = steps<ReturnType<typeof serverActivities>>();

/**
 * CHOM leaves a server that has no sites of its, and takes along what it put there; with `gone` it forgets one that no
 * longer exists. Nothing is put back when it fails on the way: it is asked for again, or the server enrolled again.
 */
export const removeServer = operation(
  'remove-server',
  { input: removalPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes', exclusive: true },
  async (op, plan) => {
    const note = ({ warnings }: { warnings: string[] }) => {
      for (const warning of warnings) op.warn(warning);
    };

    if (plan.gone) {
      note(await op.step('Make sure that it is gone', server.seeItGone, [plan], { bounds: 'quick' }));
    } else {
      await op.step('Close the server', server.closeServer, [plan], { bounds: 'quick' });
      await op.step('Withdraw from the services', server.withdrawConfiguration, [plan]);
      await op.step('Withdraw the protection', server.withdrawProtection, [plan]);
      note(await op.step('Leave the server', server.leaveServer, [plan], { bounds: 'quick' }));
    }
    note(await op.step('Forget the server', server.forgetServer, [plan], { final: true, bounds: 'quick' }));
  },
);
