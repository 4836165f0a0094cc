import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import * as storages from '../inventory/storages.js';
import { backUpControlPlane, backupDirectory } from '../plane/control-plane.js';
import { removeSpareBackups, spareBackups } from '../plane/spare-backups.js';
import type { ControlPlanePlan, MadeControlPlaneBackup } from '../workflows/control-plane-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** The steps that back CHOM itself up, on the machine of the worker that does them. */
export function controlPlaneActivities(deps: Deps) {
  const { inventory, keyring, config, log } = deps;

  async function storageOf({ storage, tenant }: ControlPlanePlan): Promise<storages.Storage | null> {
    return storage === null ? null : await storages.byId(inventory.db, storage, { tenant });
  }

  return {
    /**
     * In one step, for the next one may be another machine's. What it holds is recorded with it: from then on a key may be
     * thrown away that only older backups know. @throws Forbidden no recovery key; as `backUpControlPlane`
     */
    async makeControlPlaneBackup(step: StepContext, plan: ControlPlanePlan): Promise<MadeControlPlaneBackup> {
      const order = { encrypt: true, test: true, storage: await storageOf(plan) };
      const here = { config, inventory, keyring, environment: process.env };
      const made = await backUpControlPlane(here, order, (file) => log.warn({ file }, 'it was not uploaded'));
      await inventory.fenced(fence(step), made.record);
      const { name, file, bytes, sha256, uploaded } = made;
      return { name, file, bytes, sha256, uploaded };
    },

    async recordControlPlaneBackup(
      step: StepContext,
      { tenant }: ControlPlanePlan,
      made: MadeControlPlaneBackup,
    ): Promise<void> {
      const { operation } = step;
      await inventory.fenced(fence(step), async (trx) => {
        await operations.commitOperation(trx, operation);
        const about = { operation, tenant, server: null, site: null };
        await events.emit(trx, { ...about, type: 'ControlPlaneBackedUp', data: { ...made } });
      });
    },

    /** Here, and where copies were laid down. Returns how many. @throws StorageUnreachable; StorageRefused */
    async removeSpareControlPlaneBackups(_step: StepContext, plan: ControlPlanePlan): Promise<number> {
      const now = Date.now();
      const here = await removeSpareBackups(backupDirectory(config.home), now);
      const storage = await storageOf(plan);
      if (storage === null) return here.length;
      const { removeUploads } = await import('../plane/upload.js');
      const there = await removeUploads(storage, keyring, (names) => spareBackups(names, now));
      return here.length + there.length;
    },
  };
}
