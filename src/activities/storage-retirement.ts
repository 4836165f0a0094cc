import * as events from '../inventory/events.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as repositories from '../inventory/repositories.js';
import * as rotation from '../inventory/repository-rotation.js';
import * as tries from '../inventory/tries.js';
import { failure } from '../workflows/failures.js';
import { OLD_PASSWORD, type StorageRotationPlan } from '../workflows/storage-rotation-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { openRepository } from './repository-access.js';
import { removePasswordOf } from './repository-password.js';
import { letIn } from './repository.js';
import { fence, workplace } from './workplace.js';

/** The steps by which a password goes that was replaced. */
export function storageRetirementActivities(deps: Deps) {
  const { inventory, keyring } = deps;

  return {
    /** Whether it is still there, and owed. */
    async lookForOldPassword(step: StepContext, plan: StorageRotationPlan): Promise<boolean> {
      const tried = tries.triedBy(step.operation);
      const owed = tried?.name === OLD_PASSWORD ? await obligations.find(inventory.db, tried) : null;
      if (!owed || owed.targets['repository'] !== plan.repository) throw foreign(step.operation);
      const { site, sealedOldPassword } = await repositories.byId(inventory.db, plan.repository);
      if (site !== plan.site) throw foreign(step.operation);
      return owed.state === 'open' && sealedOldPassword !== null;
    },

    /** @throws NotBackedUp CHOM's older backups know the old one alone */
    async expectPasswordBackedUp(_step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const { passwordBackedUpAt } = await repositories.byId(inventory.db, plan.repository);
      if (passwordBackedUpAt !== null) return;
      throw failure(
        'NotBackedUp',
        `No backup of CHOM itself holds the new password of ${plan.domain}: the old one stays`,
        {
          cause: 'none was made since it was changed, or only without the keyring',
          next: 'chom backup database --encrypt --upload STORAGE',
        },
      );
    },

    /** Over SFTP the key of before gets in no more. */
    async closeOldLogin(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const open = await openRepository(deps, plan.repository);
      const { repository, storage } = open;
      if (repository.loginPublic === null || storage.maintainServer === null) return;
      const keeper = await workplace(deps, step, storage.maintainServer, `site/${plan.site}`);
      await letIn(keeper, open, plan.site, { key: repository.loginPublic });
    },

    /** And sees that it opens it no more. */
    async removeOldPassword(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const open = await openRepository(deps, plan.repository);
      const password = rotation.oldPasswordOf(open.repository, keyring);
      if (password) await removePasswordOf(deps, step, open, { ...plan, password });
    },

    async forgetOldPassword(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const { operation } = step;
      const { tenant, server, site, domain, storageName } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await rotation.forgetOld(trx, plan.repository);
        await operations.commitOperation(trx, operation);
        const data = { domain, storage: storageName };
        await events.emit(trx, { operation, type: 'StorageCredentialsRetired', tenant, server, site, data });
      });
    },
  };
}

function foreign(operation: string) {
  return failure(
    'Forbidden',
    `Operation ${operation} may not act: it is no try of removing a password that was replaced`,
    {
      cause: 'The order was not made by CHOM for this operation, or a defect in CHOM',
      next: `chom op show ${operation}`,
    },
  );
}
