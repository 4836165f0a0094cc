import { createHash } from 'node:crypto';
import { forgetSnapshots, pruneRepository, type Listing, type Maintenance } from '../host/maintenance.js';
import { expectRestic } from '../host/restic-output.js';
import * as cleaning from '../inventory/cleaning.js';
import type { JudgedBackup } from '../inventory/cleaning.js';
import * as backups from '../inventory/backups.js';
import type { Trx } from '../inventory/database.js';
import type { EventType } from '../inventory/event-types.js';
import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import { alarm, ownSnapshots, type Finding } from '../inventory/repository-alarm.js';
import { failure } from '../workflows/failures.js';
import type { CleaningPlan, Looked, PurgePlan } from '../workflows/cleaning-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { openRepository, type OpenRepository } from './repository-access.js';
import { type Keeper, keeperOf } from './repository-keeper.js';
import { fence } from './workplace.js';

/** What a command line holds, by far. */
const FORGOTTEN_AT_ONCE = 500;
/** Below the bounds of a `backup` step, a day, by the time that stopping takes. */
const PRUNE_SECONDS = 23 * 3600;

/** A repository, opened where it is maintained. */
interface Opened {
  open: OpenRepository;
  keeper: Keeper;
  list(): Promise<Listing>;
  job(part: string, what: string, job: Maintenance, limitSeconds?: number): Promise<void>;
}

/** The steps that remove backups. */
export function cleaningActivities(deps: Deps) {
  const { inventory } = deps;

  async function opened(step: StepContext, { repository, site, server }: PurgePlan): Promise<Opened> {
    const open = await openRepository(deps, repository);
    if (open.repository.site !== site) {
      throw failure('Forbidden', `Repository ${repository} is not of site ${site}`, { next: 'chom storage list' });
    }
    const keeper = await keeperOf(deps, step, open, { site, server });
    return {
      ...{ open, keeper, list: keeper.list },
      async job(part, what, job, limitSeconds) {
        expectRestic(await keeper.job(part, job, limitSeconds), keeper, { what, storage: open.storage.name });
      },
    };
  }

  /** Has restic forget them, and sees that they are gone: of an append-only storage it exits 0, and they stay (0.18, seen). */
  async function forget(at: Opened, ids: readonly string[], domain: string): Promise<void> {
    if (ids.length === 0) return;
    for (let from = 0; from < ids.length; from += FORGOTTEN_AT_ONCE) {
      const some = ids.slice(from, from + FORGOTTEN_AT_ONCE);
      // A job that is done is not done again: of other snapshots it is another one.
      const part = `forget-${createHash('sha256').update(some.join()).digest('hex').slice(0, 16)}`;
      await at.job(part, `Removing backups of ${domain}`, forgetSnapshots(at.keeper.reach, some));
    }
    const { snapshots } = await at.list();
    const left = snapshots.filter(({ id }) => ids.includes(id));
    if (left.length === 0) return;
    throw failure('StorageRefused', `Storage ${at.open.storage.name} still holds ${left.length} of what was removed`, {
      server: at.keeper.name,
      cause: 'whoever owns its files, or the login with which it is maintained, may not delete them',
      next: `chom storage check ${at.open.storage.name}`,
    });
  }

  async function remove(
    step: StepContext,
    at: Opened,
    going: readonly JudgedBackup[],
    ids: readonly string[],
    why: string,
    domain: string,
  ) {
    await forget(at, ids, domain);
    await inventory.fenced(fence(step), async (trx) => {
      // Of a step that runs again a part is recorded already.
      const left: JudgedBackup[] = [];
      for (const one of going) if ((await backups.byId(trx, one.id)).state !== 'deleted') left.push(one);
      await cleaning.recordRemoved(trx, left, why);
    });
  }

  async function prune(step: StepContext, plan: PurgePlan, { all }: { all: boolean }): Promise<void> {
    const at = await opened(step, plan);
    const pruning = pruneRepository(at.keeper.reach, { all });
    await at.job('prune', `Giving back the space of ${plan.domain}`, pruning, PRUNE_SECONDS);
  }

  async function conclude(
    step: StepContext,
    plan: PurgePlan,
    type: EventType,
    bytes: { before: number; after: number },
  ) {
    const { tenant, server, site, domain, storageName: storage } = plan;
    await inventory.fenced(fence(step), async (trx: Trx) => {
      const removed = (await backups.removedBy(trx, step.operation)).filter(({ state }) => state === 'deleted');
      await operations.commitOperation(trx, step.operation);
      const freed = Math.max(0, bytes.before - bytes.after);
      const data = {
        domain,
        storage,
        removed: removed.map(({ id }) => id),
        bytesBefore: bytes.before,
        bytesAfter: bytes.after,
        freed,
      };
      await events.emit(trx, { operation: step.operation, type, tenant, server, site, data });
    });
  }

  return {
    /**
     * Compares what lies in the repository with what CHOM recorded, before anything is removed.
     * @throws RepositorySuspect what is there speaks against it; what restic ends with
     */
    async lookIntoRepository(step: StepContext, plan: CleaningPlan): Promise<Looked> {
      const { site, repository, despiteFindings } = plan;
      const { list } = await opened(step, plan);
      const { bytes, snapshots } = await list();
      const now = Date.now();
      const verdicts = await cleaning.judge(inventory.db, { site, repository, now });
      const spare = new Set(verdicts.filter((one) => !one.keep).map(({ backup }) => backup.id));
      const findings = alarm(await cleaning.recordsOf(inventory.db, repository), snapshots, { now, spare });
      if (!despiteFindings) refuseSuspect(plan, findings);
      return { bytes, findings: findings.map(({ message }) => message) };
    },

    /**
     * Decides what goes and marks it, has restic forget it, and records that it is gone. Returns whether that was the last of
     * a deleted site's.
     */
    async removeBackups(step: StepContext, plan: CleaningPlan): Promise<boolean> {
      const { site, repository, confirmed, domain } = plan;
      const at = await opened(step, plan);
      const { snapshots } = await at.list();
      const removal = { operation: step.operation, site, repository, now: Date.now(), confirmed };
      const going = await inventory.fenced(fence(step), async (trx) => await cleaning.condemn(trx, removal));
      // Those that were deleted, and lie there: an append-only storage gave them back, or a copy of it.
      const records = await cleaning.recordsOf(inventory.db, repository);
      const deleted = records.filter(({ state }) => state === 'deleted');
      const ids = [...going, ...deleted].flatMap((one) => ownSnapshots(one, records, snapshots));
      await remove(step, at, going, ids, 'removed by the policy', domain);
      return await cleaning.isSpent(inventory.db, { site, repository });
    },

    async pruneRepository(step: StepContext, plan: CleaningPlan): Promise<void> {
      await prune(step, plan, { all: false });
    },

    async recordCleaning(step: StepContext, plan: CleaningPlan, before: number): Promise<void> {
      const { list } = await opened(step, plan);
      await conclude(step, plan, 'BackupsCleaned', { before, after: (await list()).bytes });
    },

    /** What all files of the repository take up. @throws Conflict the site exists */
    async measureRepository(step: StepContext, plan: PurgePlan): Promise<number> {
      const { list } = await opened(step, plan);
      return (await list()).bytes;
    },

    /** Also what CHOM did not make: it is the site's. @throws Conflict the site exists, or one of them is at use */
    async removeAllBackups(step: StepContext, plan: PurgePlan): Promise<void> {
      const { site, repository, domain } = plan;
      const at = await opened(step, plan);
      const removal = { operation: step.operation, site, repository, now: Date.now() };
      const going = await inventory.fenced(fence(step), async (trx) => await cleaning.condemnAll(trx, removal));
      const { snapshots } = await at.list();
      await remove(
        step,
        at,
        going,
        snapshots.map(({ id }) => id),
        'purged',
        domain,
      );
    },

    async emptyRepository(step: StepContext, plan: PurgePlan): Promise<void> {
      await prune(step, plan, { all: true });
    },

    /** @throws Conflict something is there again */
    async recordPurge(step: StepContext, plan: PurgePlan, before: number): Promise<void> {
      const { list, keeper } = await opened(step, plan);
      const { total, bytes } = await list();
      if (total > 0) {
        throw failure('Conflict', `The repository ${keeper.at} holds ${total} snapshots again`, {
          cause: 'somebody who has its password backs up into it',
          next: `chom backup purge --site ${plan.site} --confirm ${plan.site}`,
        });
      }
      await conclude(step, plan, 'BackupsPurged', { before, after: bytes });
    },
  };
}

function refuseSuspect({ domain, storageName }: CleaningPlan, findings: readonly Finding[]): void {
  const stopping = findings.filter(({ stops }) => stops).map(({ message }) => message);
  if (stopping.length === 0) return;
  throw failure('RepositorySuspect', `Nothing of ${domain} is removed: ${stopping.join('; ')}`, {
    cause: 'the older backups may be the only good ones',
    next: `chom backup list ${domain}; and when that is as it should be: chom backup clean ${domain} --storage ${storageName} --despite-findings`,
  });
}
