import { resticCredentials } from '../host/restic.js';
import { expectRestic } from '../host/restic-output.js';
import { parseAccess, tryDeleting } from '../host/trial.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import { repositoryId } from '../inventory/repositories.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import type { StoragePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { prepareRepository } from './repository.js';
import { openRepository } from './repository-access.js';
import { fence, workplace } from './workplace.js';

/** The steps of trying a storage. */
export function storageActivities(deps: Deps) {
  const { inventory } = deps;

  return {
    /** @throws NotFound the storage is another tenant's; what prepareRepository throws */
    async prepareTrial(step: StepContext, { tenant, server, storage }: StoragePlan): Promise<void> {
      await storages.byId(inventory.db, storage, { tenant });
      await prepareRepository(deps, step, { server, storage, site: null, scope: 'server' });
    },

    /** Records whether what was written could be deleted. @throws what restic ends with */
    async tryStorage(step: StepContext, plan: StoragePlan): Promise<void> {
      const { tenant, server, storage: id } = plan;
      await storages.byId(inventory.db, id, { tenant });
      const { storage, access } = await openRepository(deps, repositoryId(plan.storage, null));
      const place = await workplace(deps, step, server, 'server');
      const act = tryDeleting(access, `trial-${step.operation}-${step.attempt}`);
      const job = { act, secrets: resticCredentials(access), limitSeconds: 400 };
      const what = `Trying storage ${storage.name}`;
      const output = expectRestic(await place.job('try', job), place, { what, storage: storage.name });
      const found = parseAccess(output.stdout);
      if (found === null) throw failure('CommandFailed', `${what} told nothing`, { server: place.name });
      await inventory.fenced(fence(step), async (trx) => {
        await storages.recordAccess(trx, id, found);
        await operations.commitOperation(trx, step.operation);
        const data = { storage: storage.name, access: found };
        await events.emit(trx, { operation: step.operation, type: 'StorageChecked', tenant, server, site: null, data });
      });
    },
  };
}
