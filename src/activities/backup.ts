import { discardSnapshots } from '../host/backup-discard.js';
import { readBackup } from '../host/backup-result.js';
import { makeBackup } from '../host/backup.js';
import * as backups from '../inventory/backups.js';
import type { Trx } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import { expectLive, serverOf } from '../inventory/in-service.js';
import * as operations from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { BackupPlan, MadeBackup } from '../workflows/backup-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { withProgress } from './backup-progress.js';
import { change } from './host-step.js';
import { openRepository } from './repository-access.js';
import { fence, siteServer } from './workplace.js';

/** Below the bounds of a `backup` step, a day, by the time that stopping takes. */
const BACKUP_SECONDS = 23 * 3600;

/** The steps that back a site up. */
export function backupActivities(deps: Deps) {
  const { inventory } = deps;

  return {
    /**
     * What can be known before anything is touched. Nothing is recorded as a backup yet.
     * @throws NotFound no such site, or its server is gone; Conflict the site is not live
     */
    async checkBackup(step: StepContext, plan: BackupPlan): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => await refuseUnready(trx, step, plan));
    },

    /**
     * Makes the backup and reads it back, in one job on the site's server.
     * @throws DatabaseLocked, DatabaseBroken, DiskFull, TimedOut; StorageUnreachable and what else restic fails with
     */
    async backUpSite(step: StepContext, plan: BackupPlan, into: string): Promise<MadeBackup> {
      await inventory.fenced(fence(step), async (trx) => await beginBackup(trx, step, plan, into));
      const { storage, access } = await openRepository(deps, into);
      const place = await siteServer(deps, step, plan);
      const job = { ...makeBackup(orderOf(step, plan), access), limitSeconds: BACKUP_SECONDS };
      const output = await withProgress(place, step, async () => await place.job('back-up', job));
      const made = readBackup(output, place, { what: `Backing up ${plan.domain}`, storage: storage.name });
      const { facts, snapshots, manifestSha256, leftover } = made;
      if (leftover.length > 0)
        deps.log.warn({ operation: step.operation, leftover }, 'snapshots of attempts that died');
      const items = facts.files?.unreadable.items ?? [];
      const unreadable = { count: facts.files?.unreadable.count ?? 0, items: items.map(({ path }) => path) };
      return { snapshots, manifestSha256, apartSeconds: facts.apartSeconds, unreadable };
    },

    /** What is left of a backup that came to nothing; see `discardSnapshots`. */
    async discardBackup(step: StepContext, plan: BackupPlan, into: string): Promise<void> {
      const { access } = await openRepository(deps, into);
      const place = await siteServer(deps, step, plan);
      const discarding = discardSnapshots({ site: plan.site, operation: step.operation }, access);
      await change(place, 'discard', `Discarding the backup of ${plan.domain}`, discarding);
    },

    /** It is complete, or partial where something could not be read. */
    async recordBackup(step: StepContext, plan: BackupPlan, made: MadeBackup): Promise<void> {
      const { backup: id, site, tenant, server, domain, kind, tag } = plan;
      const { snapshots, unreadable, manifestSha256 } = made;
      // Nothing of a closed site wrote between the dump and the files.
      const apartSeconds = made.apartSeconds !== null && plan.maintenance ? 0 : made.apartSeconds;
      const total = (of: 'bytes' | 'newBytes' | 'files') => snapshots.reduce((sum, one) => sum + one[of], 0);
      const state = unreadable.count > 0 ? 'partial' : 'completed';
      const came = { bytes: total('bytes'), newBytes: total('newBytes'), files: total('files') };
      await inventory.fenced(fence(step), async (trx) => {
        // Done again after a worker that died behind its commit.
        if ((await backups.byId(trx, id)).state === state) return;
        for (const snapshot of snapshots) await backups.addSnapshot(trx, { ...snapshot, backup: id });
        const reason = `${unreadable.count} could not be read: ${unreadable.items.join(', ')}`.slice(0, 2000);
        const finished = { state, ...came, manifestSha256, apartSeconds } as const;
        await backups.finish(trx, id, { ...finished, ...(state === 'partial' && { reason }) });
        await operations.commitOperation(trx, step.operation);
        const data = { backup: id, domain, kind, tag, state, ...came, snapshots: snapshots.map((one) => one.id) };
        await events.emit(trx, { operation: step.operation, type: 'BackupCompleted', tenant, server, site, data });
      });
    },
  };
}

async function beginBackup(trx: Trx, step: StepContext, plan: BackupPlan, repository: string): Promise<void> {
  const { backup: id, site, tenant, server, domain, kind, tag, retentionDays } = plan;
  const { operation } = step;
  await backups.begin(trx, { id, operation, site, repository, kind, tag, retentionDays });
  const data = { backup: id, domain, kind, tag };
  await events.emit(trx, { operation, type: 'BackupCreated', tenant, server, site, data });
}

function orderOf({ operation }: StepContext, { site, type, domain, php, kind, database }: BackupPlan) {
  return { operation, site, type, domain, php, kind, database };
}

async function refuseUnready(trx: Trx, { root }: StepContext, plan: BackupPlan) {
  const { site: id, server: planned, domain, kind, database } = plan;
  const site = await sites.byId(trx, id);
  await serverOf(trx, site, { planned });
  // What is restored into it is backed up by the restore itself, and by nobody else meanwhile.
  expectLive(site, 'a backup is made of a site that is live', root);
  if (kind !== 'database' || database) return;
  throw failure('InvalidInput', `Site ${domain} has no database`, { next: 'add --files, or leave --database out' });
}
