import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { backupActivities } from '../../src/activities/backup.js';
import type { repositoryActivities } from '../../src/activities/repository.js';
import { randomId, submit } from '../../src/client/submit.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import type { BackupPlan, MadeBackup } from '../../src/workflows/backup-plan.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import { activeServer } from '../inventory/records.js';
import type { WorkflowEnvironment } from './environment.js';
import { liveSite, snapshotId, startWithStorage } from './site-records.js';
import { timersOf } from './timers.js';

type Activities = Omit<ReturnType<typeof backupActivities>, 'withProgress'> & ReturnType<typeof repositoryActivities>;

/** Of the clock that watches for twice the expected 120 seconds. */
const CLOCK = 240;

let chom: WorkflowEnvironment;
let plan: BackupPlan;

beforeAll(async () => {
  chom = await startWithStorage(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  const named = await liveSite(chom);
  plan = {
    ...{ ...named, backup: `b${randomId(9)}` },
    ...{ type: 'static', php: null, database: false, kind: 'full', tag: 'manual', retentionDays: 30 },
    ...{ storage: 'st', storageName: 'store' },
  };
});

const snapshot = (role: 'files' | 'manifest') => ({
  ...{ role, id: snapshotId(), bytes: 1000, newBytes: 10, files: role === 'files' ? 7 : 1 },
});
const good = (unreadable: string[] = []): MadeBackup => ({
  ...{ snapshots: [snapshot('files'), snapshot('manifest')], manifestSha256: 'ab'.repeat(32), apartSeconds: null },
  unreadable: { count: unreadable.length, items: unreadable },
});

/** What can be known from the inventory is the product's own; the host is played. `tries`: how each try ends there. */
function played(tries: (FailureType | MadeBackup)[]) {
  const done: string[] = [];
  const { checkBackup, recordBackup } = backupActivities(chom.deps);
  const activities: Pick<
    Activities,
    'checkBackup' | 'recordBackup' | 'prepareRepository' | 'backUpSite' | 'discardBackup'
  > = {
    checkBackup,
    recordBackup,
    async prepareRepository(_step, { site, storage }) {
      done.push('prepareRepository');
      const url = `rest:https://store.example/${site}`;
      const password = Buffer.from('password');
      const { id } = await chom.inventory.transaction(
        async (trx) => await repositories.add(trx, chom.keyring, { storage, site, url, password }),
      );
      return { repository: id };
    },
    async backUpSite(step, { backup: id, site, kind, tag, retentionDays }, repository) {
      done.push('backUpSite');
      await chom.inventory.transaction(async (trx) => {
        await backups.begin(trx, { id, operation: step.operation, site, repository, kind, tag, retentionDays });
      });
      const end = tries.shift();
      if (typeof end === 'string') throw failure(end, 'the host says no');
      if (end === undefined) throw new TypeError('nobody thought of this');
      return end;
    },
    async discardBackup() {
      done.push('discardBackup');
    },
  };
  return { done, activities };
}

async function backUp({ activities }: Pick<ReturnType<typeof played>, 'activities'>) {
  const { tenant, server, serverName, site, domain } = plan;
  const request = { kind: 'create-backup', input: plan, summary: 'a backup', tenant, server, serverName, site, domain };
  const id = await chom.withWorker(activities, async () => {
    const operation = await submit(chom, { ...request, kind: 'create-backup' });
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const history = await chom.replayed(id);
  const timers = timersOf(history);
  const row = await operations.byId(chom.inventory.db, id);
  const all = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  // Two waits alone take twice the expected time.
  const emitted = all.filter((type) => type !== 'OperationOverdue');
  return { row, waits: timers.filter((seconds) => seconds !== CLOCK), emitted };
}

const backup = async () => await backups.byId(chom.inventory.db, plan.backup);

test('a backup counts once it was read back, with what it came to', async () => {
  const made = good();
  const { row, waits, emitted } = await backUp(played([made]));
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(waits).toEqual([]);
  expect(emitted).toEqual(['BackupCompleted']);
  expect(await backup()).toMatchObject({ state: 'completed', bytes: 2000, newBytes: 20, retentionDays: 30 });
  const kept = await backups.snapshotsOf(chom.inventory.db, plan.backup);
  expect(kept.map(({ id }) => id).toSorted()).toEqual(made.snapshots.map(({ id }) => id).toSorted());
});

test('what could not be read makes it partial, with a warning that names it', async () => {
  const { row } = await backUp(played([good(['/srv/a', '/srv/b', '/srv/c', '/srv/d', '/srv/e', '/srv/f'])]));
  expect(row).toMatchObject({ outcome: 'succeeded' });
  expect(row.warnings).toEqual([expect.stringMatching(/partial: \/srv\/a, .* and 1 more could not be read/)]);
  expect(await backup()).toMatchObject({ state: 'partial', reason: expect.stringContaining('6 could not be read') });
});

describe('a backup that fails', () => {
  test('[CB-02] is tried 3 times, 120 s apart; [CB-11] then BackupFailed is emitted once, with an alert', async () => {
    const host = played(['StorageUnreachable', 'StorageUnreachable', 'StorageUnreachable']);
    const { row, waits, emitted } = await backUp(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'StorageUnreachable' });
    expect(waits).toEqual([120, 120]);
    expect(host.done.filter((name) => name === 'backUpSite')).toHaveLength(3);
    expect(host.done.at(-1)).toBe('discardBackup');
    expect(emitted).toEqual(['BackupFailed', 'Alert']);
    expect(await backup()).toMatchObject({ state: 'failed', reason: 'the host says no' });
    const site = await sites.byId(chom.inventory.db, plan.site);
    expect(site.status).toBe('active');
  });

  test('[CB-10] for a reason that nobody thought of is tried again', async () => {
    const host = played([]);
    const { row, waits } = await backUp(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'Unexpected' });
    expect(waits).toEqual([120, 120]);
  });

  test('on a damaged database is not tried again', async () => {
    const { row, waits } = await backUp(played(['DatabaseBroken']));
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'DatabaseBroken' });
    expect(waits).toEqual([]);
    expect(await backup()).toMatchObject({ state: 'failed' });
  });
});

test('[CB-08] [FS-03] of a site whose server is gone ends early, and nothing is recorded as a backup', async () => {
  const gone = `gone-${plan.site}`;
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, gone);
    await trx.updateTable('sites').set({ server: gone }).where('id', '=', plan.site).execute();
    await servers.setStatus(trx, gone, 'removed');
  });
  plan = { ...plan, server: gone };
  const host = played([good()]);
  const { row, waits, emitted } = await backUp(host);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'NotFound' });
  expect(row.reason).toContain(`Site ${plan.domain} has no server`);
  expect(waits).toEqual([]);
  expect(host.done).toEqual([]);
  expect(emitted).toEqual(['BackupFailed', 'Alert']);
  expect(await backups.ofOperation(chom.inventory.db, row.id)).toBeNull();
});
