import type { clearingActivities } from '../activities/clearing.js';
import { discardPlan } from './deletion-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const clearing = steps<ReturnType<typeof clearingActivities>>();

/** Removes the certificate and key that were kept of a deleted site. It is a try of what the deletion owes. */
export const discardCertificate = operation(
  'discard-certificate',
  { input: discardPlan, attempts: 3, backoff: '60 seconds', expected: '1 minute' },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', clearing.lookForKept, [plan], { bounds: 'quick' });
    if (!owed) return op.warn('What it was to remove is owed no more');
    await op.step('Remove certificate and key', clearing.removeKeptCertificate, [plan]);
    await op.step('Record the end', clearing.recordDiscard, [plan], { final: true, bounds: 'quick' });
  },
);
