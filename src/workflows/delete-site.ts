import { isCancellation } from '@temporalio/workflow';
import type { deletionActivities } from '../activities/deletion.js';
import type { exchangeActivities } from '../activities/exchange.js';
import type { BackupPlan } from './backup-plan.js';
import { causeOf } from './causes.js';
import { clearSite } from './clear-site.js';
import { createBackup } from './create-backup.js';
import type { Operation } from './definition.js';
import { deletionPlan } from './deletion-plan.js';
import { failure } from './failures.js';
import { operation } from './operation.js';
import { steps } from './steps.js';
import { verifyBackup } from './verify-backup.js';

const deletion = steps<ReturnType<typeof deletionActivities>>();
const exchange = steps<ReturnType<typeof exchangeActivities>>();

/**
 * Deletes a site: closes it, backs it up and tries that backup out, and only then gives it up. Until then whatever fails
 * is taken back, and it serves as before; from then on it goes, for which clear-site is owed until nothing of it is left.
 */
export const deleteSite = operation(
  'delete-site',
  { input: deletionPlan, attempts: 3, backoff: '60 seconds', expected: '10 minutes' },
  async (op, plan) => {
    const { final, ...site } = plan;
    const { suspended } = await op.step('Check the request', deletion.checkDeletion, [plan], { bounds: 'quick' });
    // What visitors write after its last backup would be lost.
    await op.step('Close the site', exchange.closeSite, [site], {
      undo: [exchange.reopenSite, [site]],
      when: !suspended,
    });
    if (final) await backUpForGood(op, final);
    await op.step('Give the site up', deletion.giveUp, [plan], { final: true, bounds: 'quick' });
    await op.child(clearSite, 'removal', site, { failureIs: 'warning' });
  },
);

async function backUpForGood(op: Operation, final: BackupPlan): Promise<void> {
  const { backup, kind, site, tenant, server, serverName, domain, type, php, database } = final;
  try {
    await op.child(createBackup, 'final', final);
    const tried = { backup, kind, site, tenant, server, serverName, domain, type, php, database };
    await op.child(verifyBackup, 'verification', tried);
  } catch (error) {
    const { type: kindOfFailure, message, details } = causeOf(error);
    if (isCancellation(error) || kindOfFailure === 'Superseded') throw error;
    throw failure(kindOfFailure, `${domain} is not deleted, for its final backup is not good: ${message}`, {
      ...details,
      next: `${details.next ?? `chom backup list ${domain}`}; without that backup: chom site delete ${domain} --no-final-backup --confirm ${domain}`,
    });
  }
}
