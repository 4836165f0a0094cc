import { patched, proxyActivities, setWorkflowOptions } from '@temporalio/workflow';
import type { retirementActivities } from '../../src/activities/retirement.js';
import type { rotationActivities } from '../../src/activities/rotation.js';
import { lasting } from '../../src/workflows/lasting.js';
import { operation } from '../../src/workflows/operation.js';
import { retirementPlan, rotationPlan } from '../../src/workflows/rotation-plan.js';
import { runBatch as coordinate } from '../../src/workflows/run-batch.js';
import { steps } from '../../src/workflows/steps.js';
import { type ScriptedActivities, script } from './scripted.js';

export { settleOperation } from '../../src/workflows/settle-operation.js';
export { undoOperation } from '../../src/workflows/undo-operation.js';

/** What the worker of a later build can do that the one before could not. */
export interface LaterActivities {
  tellOfBatch(batch: string, when: 'first' | 'last'): Promise<void>;
}

const keys = steps<ReturnType<typeof rotationActivities> & ReturnType<typeof retirementActivities>>();
const scripted = steps<ScriptedActivities>();
const { tellOfBatch } = proxyActivities<LaterActivities>({ startToCloseTimeout: '10 seconds' });

/**
 * Operations of a later build are other ones, and nothing of their change is a patch: none that an earlier build began could go on
 * by them.
 */
export const provisionSite = operation(
  'provision-site',
  { input: script, attempts: 3, backoff: '60s', expected: '1 hour' },
  async (op, { steps: all }) => {
    await op.step('Commit before all else', scripted.commit, ['commit'], { final: true });
    for (const { name } of all) await op.step(name, scripted.act, [name]);
  },
);

export const rotateCredentials = operation(
  'rotate-credentials',
  { input: rotationPlan, attempts: 3, backoff: '30 seconds', expected: '300 seconds', exclusive: true },
  async (op, plan) => {
    await op.step('Prove the key in use', keys.proveServerKeyAfresh, [plan], { bounds: 'quick' });
    await op.step('Look for the key in use', keys.findServerKey, [plan]);
  },
);

/** Proves the current key once more, last of all. */
export const retireCredentials = operation(
  'retire-credentials',
  { input: retirementPlan, attempts: 3, backoff: '30 seconds', expected: '2 minutes', exclusive: true },
  async (op, plan) => {
    const owed = await op.step('Check what is owed', keys.lookForOldServerKey, [plan], { bounds: 'quick' });
    if (owed === null) return;
    await op.step('Look for a backup', keys.expectServerKeyBackedUp, [plan, owed], { bounds: 'quick' });
    await op.step('Remove the old key', keys.removeOldServerKeys, [plan, [owed.old]], {
      undo: [keys.putOldServerKeysBack, [plan, [owed.old]]],
    });
    await op.step('See it refused', keys.seeOldServerKeysRefused, [plan, [owed.old]], { bounds: 'quick' });
    await op.step('Forget the old key', keys.recordRetirement, [plan, [owed.old]], { final: true, bounds: 'quick' });
    await op.step('Prove the current key', keys.proveServerKeyAfresh, [plan], { bounds: 'quick' });
  },
);

/** Tells of itself at both ends. It lasts: so a change is a patch, and what has been done already stays as it was. */
export async function runBatch(batch: string): Promise<void> {
  if (patched('tell-first')) await tellOfBatch(batch, 'first');
  await coordinate(batch);
  if (patched('tell-last')) await tellOfBatch(batch, 'last');
}
setWorkflowOptions(lasting, runBatch);
