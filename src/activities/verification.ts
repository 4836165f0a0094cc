import { ApplicationFailure } from '@temporalio/activity';
import { stageFiles } from '../host/restore-files.js';
import { fetchManifest, parseManifest, type RestoreChange, type RestoreFacts } from '../host/restore-manifest.js';
import { removeRestored } from '../host/restore-removal.js';
import { readResult } from '../host/restic-result.js';
import { askSpace, expectScratchRoom, parseSpace } from '../host/restore-space.js';
import { prepareScratch, tryScratch } from '../host/scratch.js';
import { sh } from '../host/shell.js';
import * as backups from '../inventory/backups.js';
import type { Trx } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import { expectLive, serverOf } from '../inventory/in-service.js';
import * as operations from '../inventory/operations.js';
import * as sites from '../inventory/sites.js';
import { failure, type FailureType } from '../workflows/failures.js';
import { type StepContext, workOf } from '../workflows/step.js';
import { answersPage, type TriedPage, type VerificationPlan } from '../workflows/verification-plan.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { openRepository, type OpenRepository } from './repository-access.js';
import { type OrderedRestore, restoreOrder } from './restore-order.js';
import { fence, JOB_SECONDS, siteServer } from './workplace.js';

/** Below the bounds of a `backup` step, a day, by the time that stopping takes. */
const LONG_SECONDS = 23 * 3600;

/** Failures that tell of the backup itself. All others say that it could not be tried out. */
const REFUTES: readonly FailureType[] = [
  ...(['RepositoryDamaged', 'DumpRejected', 'ProbeFailed', 'NoRepository', 'WrongPassword'] as const),
];

/** The steps that try a backup out beside its site. */
export function verificationActivities(deps: Deps) {
  const { inventory } = deps;

  /** Runs a job that reads the repository, or what came from it; what that tells of the backup is recorded. */
  async function restored(
    step: StepContext,
    plan: VerificationPlan,
    { part, make, limitSeconds = JOB_SECONDS }: Restoring,
  ): Promise<string> {
    const wanted = await restoreOrder(inventory.db, step, plan);
    const { storage, access } = await openRepository(deps, wanted.repository);
    const place = await siteServer(deps, step, plan);
    const output = await place.job(part, { ...make(wanted.order, access), limitSeconds });
    const what = `Verifying backup ${plan.backup} of ${plan.domain}`;
    return await refuted(step, plan, () => readResult(output, place, { what, storage: storage.name }));
  }

  async function refuted<Result>(step: StepContext, plan: VerificationPlan, read: () => Result): Promise<Result> {
    try {
      return read();
    } catch (error) {
      const tells = error instanceof ApplicationFailure && REFUTES.some((type) => type === error.type);
      const why = error instanceof Error ? error.message : '';
      if (tells) await inventory.fenced(fence(step), async (trx) => await backups.refute(trx, plan.backup, why));
      throw error;
    }
  }

  return {
    /**
     * What can be known before anything is touched.
     * @throws NotFound no such backup or site, or its server is gone; Conflict the backup is not complete, or the site not live
     */
    async checkVerification(step: StepContext, plan: VerificationPlan): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        await refuseUnready(trx, step, plan);
        await backups.use(trx, plan.backup, step.operation);
      });
    },

    /** @throws RepositoryDamaged it is not the one that was recorded; and what restic fails with */
    async fetchScratchManifest(step: StepContext, plan: VerificationPlan): Promise<RestoreFacts> {
      const said = await restored(step, plan, { part: 'manifest', make: fetchManifest });
      return await refuted(step, plan, () => parseManifest(said));
    },

    /** @throws NoRoom; UnsupportedHost the PHP that the site runs on is not there */
    async findScratchRoom(step: StepContext, plan: VerificationPlan, facts: RestoreFacts): Promise<void> {
      const { domain, php } = plan;
      const place = await siteServer(deps, step, plan);
      const { files } = parseSpace(await ask(place, `Looking for room on ${place.name}`, askSpace()));
      expectScratchRoom(facts, files, place.name);
      if (!answersPage(plan, facts) || (await place.read(sh`[ -x ${`/usr/sbin/php-fpm${php}`} ]`)).exit === 0) return;
      throw failure('UnsupportedHost', `PHP ${php}, on which ${domain} runs, is not on ${place.name}`, {
        server: place.name,
        cause: 'it was removed, and the page of what was restored could not be asked for',
        next: `chom site doctor ${domain}`,
      });
    },

    /** @throws RepositoryDamaged it is not what the manifest says; DiskFull; and what restic fails with */
    async stageScratchFiles(step: StepContext, plan: VerificationPlan, facts: RestoreFacts): Promise<void> {
      const make: Restoring['make'] = ({ files, ...order }, access) => {
        if (files === null) throw failure('Bug', `Backup ${plan.backup} has no snapshot of its files on record`);
        return stageFiles({ ...order, files }, facts, access);
      };
      await restored(step, plan, { part: 'files', make, limitSeconds: LONG_SECONDS });
    },

    /** @throws DiskFull; and what restic fails with */
    async fetchScratchDump(step: StepContext, plan: VerificationPlan, { database }: RestoreFacts): Promise<void> {
      const make: Restoring['make'] = (order, access) =>
        prepareScratch({ ...order, database: database && order.database }, access);
      await restored(step, plan, { part: 'dump', make, limitSeconds: LONG_SECONDS });
    },

    /**
     * Imports and compares the database, and asks for the first page; null where that is not possible.
     * @throws DumpRejected, RepositoryDamaged, ProbeFailed, DiskFull
     */
    async tryScratchSite(step: StepContext, plan: VerificationPlan, facts: RestoreFacts): Promise<TriedPage | null> {
      const { site, domain, type, php } = plan;
      const has = { files: facts.files !== null, page: answersPage(plan, facts) };
      const make: Restoring['make'] = ({ uid, operation }) =>
        tryScratch({ site, domain, type, php, uid, operation, ...has }, facts.database);
      const said = await restored(step, plan, { part: 'try', make, limitSeconds: LONG_SECONDS });
      const [status = Number.NaN, bytes = Number.NaN] = said.trim().split(' ').map(Number);
      return has.page ? { status, bytes } : null;
    },

    /** What lies beside the site for this verification. That there is nothing is no error. */
    async removeScratch(step: StepContext, plan: VerificationPlan): Promise<void> {
      const place = await siteServer(deps, step, plan);
      const what = `Removing what was restored of ${plan.domain} to verify backup ${plan.backup}`;
      await change(place, 'remove', what, removeRestored(plan.site, workOf(step)));
    },

    async recordVerification(
      step: StepContext,
      plan: VerificationPlan,
      { files, database }: RestoreFacts,
      page: TriedPage | null,
    ): Promise<void> {
      const { backup, kind, site, tenant, server, domain } = plan;
      const held = {
        ...{ files: files?.files ?? null, bytes: files?.bytes ?? null },
        ...{ tables: database?.tables ?? null, rows: database?.rows ?? null },
      };
      await inventory.fenced(fence(step), async (trx) => {
        await backups.markVerified(trx, backup);
        await operations.commitOperation(trx, step.operation);
        const data = { backup, domain, kind, ...held, page };
        await events.emit(trx, { operation: step.operation, type: 'BackupVerified', tenant, server, site, data });
      });
    },
  };
}

interface Restoring {
  /** Tells the jobs of one step apart. */
  part: string;
  make: (order: OrderedRestore['order'], access: OpenRepository['access']) => RestoreChange;
  limitSeconds?: number;
}

async function refuseUnready(trx: Trx, { root }: StepContext, plan: VerificationPlan): Promise<void> {
  const { backup: id, site: siteId, tenant, server: planned, domain } = plan;
  const { state, site: of } = await backups.byId(trx, id, { tenant });
  if (of !== siteId) throw failure('Forbidden', `Backup ${id} is not one of ${domain}`);
  const site = await sites.byId(trx, siteId);
  await serverOf(trx, site, { planned });
  expectLive(site, 'a backup is verified beside the site that is live', root);
  if (state === 'completed' || state === 'verified') return;
  throw failure('Conflict', `Backup ${id} is ${state}`, {
    cause: 'only a complete backup is verified',
    next: `chom backup show ${id}`,
  });
}
