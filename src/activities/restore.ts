import { importDatabase } from '../host/restore-database.js';
import { stageFiles } from '../host/restore-files.js';
import { fetchManifest, parseManifest, type RestoreChange, type RestoreOrder } from '../host/restore-manifest.js';
import { stagePath } from '../host/restore-path.js';
import { removeRestored } from '../host/restore-removal.js';
import { readResult } from '../host/restic-result.js';
import { askSpace, expectRoom, parseSpace } from '../host/restore-space.js';
import type { RepositoryAccess } from '../host/restic.js';
import * as backups from '../inventory/backups.js';
import * as events from '../inventory/events.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import { expectInService, expectRestorable } from '../inventory/restorable.js';
import * as restores from '../inventory/restores.js';
import * as sites from '../inventory/sites.js';
import * as tries from '../inventory/tries.js';
import { failure } from '../workflows/failures.js';
import {
  UNDO_WINDOW,
  type Beside,
  type ManifestFacts,
  type RestorePlan,
  type UndoRestorePlan,
  type UndoWindowPlan,
} from '../workflows/restore-plan.js';
import { type StepContext, workOf } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { openRepository } from './repository-access.js';
import { restoreOrder } from './restore-order.js';
import type { Noted } from './server-setup.js';
import { fence, siteServer } from './workplace.js';

/** Below the bounds of a `backup` step, a day, by the time that stopping takes. */
const RESTORE_SECONDS = 23 * 3600;
const HOUR_MS = 3_600_000;

/** The steps that bring a backup beside a site, and those that keep the account of it. */
export function restoreActivities(deps: Deps) {
  const { inventory } = deps;

  /** Runs what `build` makes of the backup, its repository open, on the site's server. */
  async function restoring(
    step: StepContext,
    plan: RestorePlan,
    { part, what }: { part: string; what: string },
    build: (order: RestoreOrder, access: RepositoryAccess) => RestoreChange,
  ): Promise<string> {
    const { repository, order } = await restoreOrder(inventory.db, step, plan);
    const { storage, access } = await openRepository(deps, repository);
    const place = await siteServer(deps, step, plan);
    const output = await place.job(part, { ...build(order, access), limitSeconds: RESTORE_SECONDS });
    return readResult(output, place, { what: `${what} of ${plan.domain}`, storage: storage.name });
  }

  return {
    /**
     * What can be known before anything is touched; from here on the site is `restoring`.
     * @throws NotFound no such backup, or its site or server is gone; Conflict, InvalidInput
     */
    async beginRestore(step: StepContext, plan: RestorePlan): Promise<Noted> {
      return await inventory.fenced(fence(step), async (trx) => {
        const { backup, site, tenant, server, domain, files, dump: database, path } = plan;
        const { operation } = step;
        if ((await backups.byId(trx, backup, { tenant })).site !== plan.from) throw foreign(operation);
        const warnings = await expectRestorable(trx, plan, await sites.byId(trx, site));
        await backups.use(trx, backup, operation);
        await restores.begin(trx, { operation, backup, site, files, database, path });
        const data = { backup, domain, files, database, path };
        await events.emit(trx, { operation, type: 'RestoreStarted', tenant, server, site, data });
        return { warnings };
      });
    },

    /** @throws RepositoryDamaged it is not the manifest that was recorded; what restic fails with */
    async readManifest(step: StepContext, plan: RestorePlan): Promise<ManifestFacts> {
      const naming = { part: 'manifest', what: 'Reading the manifest of a backup' };
      return parseManifest(await restoring(step, plan, naming, fetchManifest));
    },

    /** @throws NoRoom */
    async expectRoom(step: StepContext, plan: RestorePlan, facts: ManifestFacts): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const space = parseSpace(await ask(place, 'Asking for free space', askSpace()));
      const need = {
        files: plan.files && plan.path === null ? facts.files : null,
        database: plan.dump ? facts.database : null,
      };
      expectRoom(need, space, place.name);
    },

    /** @throws RepositoryDamaged what was restored is not what the manifest says; DiskFull */
    async stageFiles(step: StepContext, plan: RestorePlan, facts: ManifestFacts): Promise<void> {
      const naming = { part: 'stage-files', what: 'Restoring the files' };
      await restoring(step, plan, naming, (order, access) =>
        stageFiles({ ...order, files: wanted(order.files) }, facts, access),
      );
    },

    /** @throws NotFound the backup holds no such path */
    async stagePath(step: StepContext, plan: RestorePlan, facts: ManifestFacts): Promise<void> {
      const naming = { part: 'stage-path', what: `Restoring ${plan.path}` };
      await restoring(step, plan, naming, (order, access) =>
        stagePath({ ...order, files: wanted(order.files) }, facts.site, wanted(plan.path), access),
      );
    },

    /** @throws DumpRejected, RepositoryDamaged, DiskFull */
    async importDatabase(step: StepContext, plan: RestorePlan, facts: ManifestFacts): Promise<void> {
      const naming = { part: 'import-database', what: 'Importing the database' };
      await restoring(step, plan, naming, (order, access) =>
        importDatabase({ ...order, database: wanted(order.database) }, wanted(facts.database), access),
      );
    },

    /** Removes what lies beside the site. @throws CommandFailed a switch was left half done */
    async removeStaged(step: StepContext, plan: RestorePlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const what = `Removing what was restored beside ${plan.domain}`;
      await change(place, 'remove', what, removeRestored(plan.site, workOf(step)));
    },

    /** It is live, and can be undone until the window ends, which it owes. */
    async recordRestore(step: StepContext, plan: RestorePlan, facts: ManifestFacts): Promise<void> {
      const { backup, site, tenant, server, domain, files, dump, path } = plan;
      const { operation } = step;
      const undoUntil = new Date(Date.now() + plan.undoHours * HOUR_MS).toISOString();
      const safety = plan.safety?.backup ?? null;
      const { charset: databaseCharset = null, collation: databaseCollation = null } = (dump && facts.database) || {};
      await inventory.fenced(fence(step), async (trx) => {
        // Done again after a worker that died behind its commit.
        if ((await restores.byOperation(trx, operation)).state === 'restored') return;
        await restores.finish(trx, operation, { databaseCharset, databaseCollation, safety, undoUntil });
        await obligations.add(trx, { operation, name: UNDO_WINDOW, targets: { site }, due: undoUntil });
        await operations.commitOperation(trx, operation);
        const data = { backup, domain, files, database: dump, path, safety, undoUntil };
        await events.emit(trx, { operation, type: 'RestoreCompleted', tenant, server, site, data });
      });
    },

    /** @throws NotFound; Conflict it cannot be undone */
    async beginUndo(step: StepContext, plan: UndoRestorePlan): Promise<Beside> {
      const { restore: id, tenant, site } = plan;
      return await inventory.fenced(fence(step), async (trx) => {
        const restore = await restores.byOperation(trx, id, { tenant });
        if (restore.site !== site) throw foreign(step.operation);
        await restores.expectUndoable(trx, restore);
        await expectInService(trx, await sites.byId(trx, site), restore.backup);
        await restores.close(trx, site, step.operation);
        return { restore: id, charset: restore.databaseCharset, collation: restore.databaseCollation };
      });
    },

    async recordUndo(step: StepContext, plan: UndoRestorePlan): Promise<void> {
      const { restore, site, tenant, server, domain } = plan;
      const { operation } = step;
      await inventory.fenced(fence(step), async (trx) => {
        await restores.markUndone(trx, restore);
        // What lies beside from here on is in the backup that was just made of it.
        if (plan.safety)
          await obligations.hasten(trx, { operation: restore, name: UNDO_WINDOW }, new Date().toISOString());
        await operations.commitOperation(trx, operation);
        const data = { restore, domain, safety: plan.safety?.backup ?? null };
        await events.emit(trx, { operation, type: 'RestoreUndone', tenant, server, site, data });
      });
    },

    /** Whose undo window is to end; null where that is owed no more. */
    async lookForWindow(step: StepContext, { site }: UndoWindowPlan): Promise<string | null> {
      const tried = tries.triedBy(step.operation);
      if (tried?.name !== UNDO_WINDOW) throw foreign(step.operation);
      if (await tries.isVoid(inventory.db, step.operation)) return null;
      const restore = await restores.byOperation(inventory.db, tried.operation);
      if (restore.site !== site) throw foreign(step.operation);
      return tried.operation;
    },

    async removeKept(step: StepContext, plan: UndoWindowPlan, restore: string): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const what = `Removing what was there before ${restore}`;
      await change(place, 'remove', what, removeRestored(plan.site, restore));
    },

    async recordEnd(step: StepContext, _plan: UndoWindowPlan, restore: string): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        await restores.end(trx, restore);
        await operations.commitOperation(trx, step.operation);
      });
    },
  };
}

/** What the request was checked for. */
function wanted<Value>(value: Value | null): Value {
  if (value === null) throw failure('Bug', 'A backup lacks what it was checked for');
  return value;
}

function foreign(operation: string) {
  return failure('Forbidden', `Operation ${operation} may not act: what it names belongs to another site`, {
    cause: 'The order was not made by CHOM for this operation, or a defect in CHOM',
    next: `chom op show ${operation}`,
  });
}
