import type { exchangeActivities } from '../activities/exchange.js';
import type { restoreActivities } from '../activities/restore.js';
import { exchangeSite } from './exchange-site.js';
import { operation } from './operation.js';
import { type Beside, type ManifestFacts, restorePlan } from './restore-plan.js';
import { steps } from './steps.js';

const exchange = steps<ReturnType<typeof exchangeActivities>>();
const restore = steps<ReturnType<typeof restoreActivities>>();

/**
 * Restores a backup beside a live site, compares it with its manifest, and changes places. What was there before is kept
 * until the undo window ends. Until the site was seen to answer with what was restored, whatever fails is taken back, and
 * it serves as before.
 */
export const restoreBackup = operation(
  'restore-backup',
  { input: restorePlan, attempts: 2, backoff: '60 seconds', expected: '300 seconds' },
  async (op, plan) => {
    const { path } = plan;
    const checked = await op.step('Check the request', restore.beginRestore, [plan], { bounds: 'quick' });
    for (const warning of checked.warnings) op.warn(warning);
    const facts = await op.step('Read the manifest', restore.readManifest, [plan], {
      undo: [restore.removeStaged, [plan]],
    });
    await op.step('See that there is room', restore.expectRoom, [plan, facts], { bounds: 'quick' });
    await op.step('Restore the files beside the site', restore.stageFiles, [plan, facts], {
      when: plan.files && path === null,
      bounds: 'backup',
    });
    await op.step('Restore the path beside the site', restore.stagePath, [plan, facts], {
      when: path !== null,
      bounds: 'backup',
    });
    await op.step('Import the database beside the site', restore.importDatabase, [plan, facts], {
      when: plan.dump,
      bounds: 'backup',
    });
    await exchangeSite(op, plan, {
      label: 'Switch to what was restored',
      step: exchange.switchTo,
      back: exchange.switchBack,
      args: [plan, besideOf(op.id, facts)],
    });
    await op.step('Record the restore', restore.recordRestore, [plan, facts], { final: true, bounds: 'quick' });
  },
);

function besideOf(id: string, { database }: ManifestFacts): Beside {
  return { restore: id, charset: database?.charset ?? null, collation: database?.collation ?? null };
}
