import type { checkActivities } from '../activities/server-check.js';
import { checkPlan, type Looked } from './check-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const check = steps<ReturnType<typeof checkActivities>>();

/** What passes between one login that does not get in and the next; after the last one it counts. */
const PAUSES_SECONDS = [30, 60];

/**
 * Looks at a server and the sites on it, and keeps what is wrong until it is gone. It changes nothing there, so it takes
 * no place: it neither waits behind a long restore nor holds one up (docs/operations.md, "Checking a server").
 */
export const checkServer = operation(
  'check-server',
  { input: checkPlan, attempts: 3, backoff: '30 seconds', expected: '5 minutes' },
  async (op, plan) => {
    let contact = await op.step('Log in', check.contactServer, [plan]);
    for (const seconds of PAUSES_SECONDS) {
      if (contact.state !== 'away') break;
      await op.wait('Wait before it logs in again', seconds * 1000);
      contact = await op.step('Log in again', check.contactServer, [plan]);
    }
    if (contact.state === 'held') {
      return op.warn(`Not looked at: ${contact.by} has ${plan.name} for itself`);
    }
    const looked: Looked[] = [];
    if (contact.state === 'in') {
      looked.push(await op.step('Look at the server', check.lookAtServer, [plan]));
      looked.push(await op.step('Look at its sites', check.lookAtSites, [plan]));
    } else looked.push({ server: false, sites: [], findings: [contact.finding] });
    const { counts } = await op.step('Record what was found', check.recordCheck, [plan, looked], {
      final: true,
      bounds: 'quick',
    });
    if (!counts) op.warn('A later check was asked for meanwhile: what this one found does not count');
  },
);
