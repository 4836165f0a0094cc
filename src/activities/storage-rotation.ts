import { resticCredentials, type RepositoryAccess } from '../host/restic.js';
import { expectRestic, resticFailure } from '../host/restic-output.js';
import { addPassword, opensRepository } from '../host/restic-keys.js';
import * as events from '../inventory/events.js';
import { expectLive, serverOf } from '../inventory/in-service.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as rotation from '../inventory/repository-rotation.js';
import type { Repository } from '../inventory/repositories.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { OLD_PASSWORD, OLD_PASSWORD_HOURS, type StorageRotationPlan } from '../workflows/storage-rotation-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { openRepository, type OpenRepository } from './repository-access.js';
import { escrowPassword, letIn, ownLogin, secret, settling } from './repository.js';
import { removePasswordOf } from './repository-password.js';
import { fence, workplace } from './workplace.js';

/** The steps by which a repository gets another password, and its site another login. None of the two is handed on. */
export function storageRotationActivities(deps: Deps) {
  const { inventory, keyring } = deps;

  /** With what is to open it instead of what does. @throws Conflict there is nothing */
  async function openNext(plan: StorageRotationPlan): Promise<OpenRepository> {
    const open = await openOwn(plan);
    const next = rotation.nextOf(open.repository, keyring);
    if (!next) throw failure('Conflict', `There is no new password for the repository of ${plan.domain}`);
    return { ...open, access: withNext(open.access, next) };
  }

  async function openOwn({ repository: id, site, storage }: StorageRotationPlan): Promise<OpenRepository> {
    const open = await openRepository(deps, id);
    if (open.repository.site === site && open.repository.storage === storage) return open;
    throw failure('Forbidden', `Repository ${id} is not that of site ${site}`, {
      cause: 'the order was not made by CHOM for this operation, or a defect in CHOM',
    });
  }

  async function prove(
    step: StepContext,
    plan: StorageRotationPlan,
    { access, storage }: OpenRepository,
  ): Promise<void> {
    const place = await workplace(deps, step, plan.server, `site/${plan.site}`);
    const what = `Opening the repository of ${plan.domain} in storage ${storage.name}`;
    // A storage that was told of a login just now may not know it yet.
    const output = await settling(access.login !== null, async (n) => {
      const job = { act: opensRepository(access), secrets: resticCredentials(access), limitSeconds: 120 };
      const tried = await place.job(`open-${n}`, job);
      return { again: tried.exit !== 0 && resticFailure(tried) === 'StorageRefused', result: tried };
    });
    expectRestic(output, place, { what, storage: storage.name });
  }

  return {
    /** What is on record opens it. @throws Conflict the site is not live, or another rotation is not over; what restic ends with */
    async findStorageCredentials(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const site = await sites.byId(inventory.db, plan.site);
      expectLive(site, 'what opens its backups is changed of a site that is live', step.root);
      await serverOf(inventory.db, site, { planned: plan.server });
      const open = await openOwn(plan);
      if (step.kind === 'rotate-storage-credentials') await refuseUnsettled(step, plan, open.repository);
      await prove(step, plan, open);
    },

    /** Kept, sealed, before anything out there knows of it. */
    async makeNextStorageCredentials(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const { repository, storage } = await openOwn(plan);
      const login = repository.loginPublic === null ? null : ownLogin(storage, plan.site);
      const next = { password: Buffer.from(secret()), login };
      await inventory.fenced(fence(step), async (trx) => await rotation.keepNext(trx, keyring, repository.id, next));
    },

    /** Over SFTP the old key gets in still; a REST server knows one password of a user, and so it is the new one from here on. */
    async letNextLoginIn(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const open = await openNext(plan);
      const { repository, storage } = open;
      if (repository.nextLoginPublic === null) return;
      const keeper =
        storage.maintainServer === null
          ? null
          : await workplace(deps, step, storage.maintainServer, `site/${plan.site}`);
      const keys = {
        key: repository.nextLoginPublic,
        ...(repository.loginPublic !== null && { besides: repository.loginPublic }),
      };
      await letIn(keeper, open, plan.site, keys);
    },

    async addNextPassword(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const { access } = await openNext(plan);
      const open = await openOwn(plan);
      const { storage } = open;
      const place = await workplace(deps, step, plan.server, `site/${plan.site}`);
      // By the new login, which thereby is proven, and the old password.
      const by = { ...access, password: open.access.password };
      const secrets = { ...resticCredentials(by), 'next-password': access.password };
      const what = `Adding a password to the repository of ${plan.domain} in storage ${storage.name}`;
      const output = await settling(access.login !== null, async (n) => {
        const tried = await place.job(`add-password-${n}`, { ...addPassword(by), secrets, limitSeconds: 240 });
        return { again: tried.exit !== 0 && resticFailure(tried) === 'StorageRefused', result: tried };
      });
      expectRestic(output, place, { what, storage: storage.name });
    },

    async proveNextStorageCredentials(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      await prove(step, plan, await openNext(plan));
    },

    /** From here on whoever has the recovery key, and nothing of CHOM, finds the new one; the old one still opens it as well. */
    async escrowNextPassword(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      await escrowPassword(deps, step, await openNext(plan), plan);
    },

    /** From here on they are those in use, and the removal of the old password is owed. @throws Conflict */
    async useNextStorageCredentials(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const { operation } = step;
      const { tenant, server, site, repository, storageName, domain } = plan;
      await inventory.fenced(fence(step), async (trx) => {
        await rotation.adoptNext(trx, keyring, repository);
        const due = new Date(Date.now() + OLD_PASSWORD_HOURS * 3_600_000).toISOString();
        await obligations.add(trx, { operation, name: OLD_PASSWORD, targets: { ...plan }, due });
        await operations.commitOperation(trx, operation);
        const data = { domain, storage: storageName, oldPasswordUntil: due };
        await events.emit(trx, { operation, type: 'StorageCredentialsRotated', tenant, server, site, data });
      });
    },

    /** The undo of all before they are those in use: what opens the repository is what did, and nothing else does. */
    async withdrawNextStorageCredentials(step: StepContext, plan: StorageRotationPlan): Promise<void> {
      const open = await openOwn(plan);
      const { repository, storage } = open;
      const next = rotation.nextOf(repository, keyring);
      if (!next) return;
      const scope = `site/${plan.site}`;
      if (repository.loginPublic !== null) {
        const keeper =
          storage.maintainServer === null ? null : await workplace(deps, step, storage.maintainServer, scope);
        await letIn(keeper, open, plan.site, { key: repository.loginPublic });
      }
      await escrowPassword(deps, step, open, plan);
      await removePasswordOf(deps, step, open, { ...plan, password: next.password });
      await inventory.fenced(fence(step), async (trx) => await rotation.dropNext(trx, repository.id));
    },
  };

  async function refuseUnsettled(
    step: StepContext,
    plan: StorageRotationPlan,
    { sealedOldPassword }: Repository,
  ): Promise<void> {
    if (sealedOldPassword === null) return;
    // Of this operation itself, once they are those in use.
    const owed = await obligations.find(inventory.db, { operation: step.operation, name: OLD_PASSWORD });
    if (owed) return;
    throw failure('Conflict', `The password that opened the repository of ${plan.domain} before is not removed yet`, {
      cause: 'it goes a day after it was replaced, once a backup of CHOM itself holds the new one',
      next: 'chom backup database --encrypt --upload STORAGE, and chom op list',
    });
  }
}

function withNext(access: RepositoryAccess, { password, login }: rotation.Next): RepositoryAccess {
  return { ...access, password, login: login ?? access.login };
}
