import type { backupActivities } from '../activities/backup.js';
import type { repositoryActivities } from '../activities/repository.js';
import type { exchangeActivities } from '../activities/exchange.js';
import { backupPlan, type MadeBackup } from './backup-plan.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const backup = steps<ReturnType<typeof backupActivities>>();
const exchange = steps<ReturnType<typeof exchangeActivities>>();
const repository = steps<ReturnType<typeof repositoryActivities>>();

/**
 * Backs a site up into its repository: first the database, then the files, then a manifest of both. It counts once all of
 * it was read back; whatever fails before leaves nothing that is listed as good, and the site as it is.
 */
export const createBackup = operation(
  'create-backup',
  { input: backupPlan, attempts: 3, backoff: '120 seconds', expected: '120 seconds' },
  async (op, plan) => {
    await op.step('Check the request', backup.checkBackup, [plan], { bounds: 'quick' });
    const { repository: into } = await op.step('Prepare the repository', repository.prepareRepository, [plan]);
    const { maintenance: closed } = plan;
    if (closed) {
      await op.step('Close the site', exchange.closeSite, [closed], { undo: [exchange.reopenSite, [closed]] });
    }
    const made = await op.step('Back up', backup.backUpSite, [plan, into], {
      undo: [backup.discardBackup, [plan, into]],
      bounds: 'backup',
    });
    if (closed) await op.step('Open the site', exchange.reopenSite, [closed]);
    await op.step('Record the backup', backup.recordBackup, [plan, made], { final: true, bounds: 'quick' });
    if (made.unreadable.count > 0) op.warn(describePartial(made.unreadable));
  },
);

function describePartial({ count, items }: MadeBackup['unreadable']): string {
  const some = items.slice(0, 5);
  const more = count > some.length ? ` and ${count - some.length} more` : '';
  return `The backup is partial: ${some.join(', ')}${more} could not be read`;
}
