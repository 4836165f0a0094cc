import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { backupActivities } from '../../src/activities/backup.js';
import { restoreActivities } from '../../src/activities/restore.js';
import type { exchangeActivities } from '../../src/activities/exchange.js';
import type { repositoryActivities } from '../../src/activities/repository.js';
import { planRestore } from '../../src/client/new-restore.js';
import { planUndo } from '../../src/client/undo-restore.js';
import { randomId, submit } from '../../src/client/submit.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as restores from '../../src/inventory/restores.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { ManifestFacts, RestorePlan } from '../../src/workflows/restore-plan.js';
import type { OperationKind } from '../../src/workflows/step.js';
import { activeServer } from '../inventory/records.js';
import type { WorkflowEnvironment } from './environment.js';
import { liveSite, snapshotId, startWithStorage } from './site-records.js';
import { timersOf } from './timers.js';

type Restoring = ReturnType<typeof restoreActivities>;
type Exchanging = ReturnType<typeof exchangeActivities>;
type BackingUp = ReturnType<typeof backupActivities>;
type Preparing = ReturnType<typeof repositoryActivities>;

/** Of the clocks that watch for twice the expected time, of a restore and of a backup. */
const CLOCKS = [600, 240];

let chom: WorkflowEnvironment;
let site: string;
let backup: string;
const tenant = 'default';

beforeAll(async () => {
  chom = await startWithStorage(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  ({ site } = await liveSite(chom, { database: true }));
  backup = `b${randomId(9)}`;
  await chom.inventory.transaction(async (trx) => {
    const url = `rest:https://store.example/${site}`;
    const password = Buffer.from('password');
    const { id: repository } = await repositories.add(trx, chom.keyring, { storage: 'st', site, url, password });
    const kept = { id: backup, operation: `made-${backup}`, site, repository, retentionDays: null };
    await backups.begin(trx, { ...kept, kind: 'full', tag: 'manual' });
    for (const role of ['files', 'database', 'manifest'] as const) {
      await backups.addSnapshot(trx, { id: snapshotId(), backup, role, bytes: 10, newBytes: 10, files: 1 });
    }
    const came = { bytes: 30, newBytes: 30, files: 3, manifestSha256: snapshotId(), apartSeconds: 1 };
    await backups.finish(trx, backup, { state: 'completed', ...came });
  });
});

const FACTS: ManifestFacts = {
  ...{ format: 1, operation: 'made', site: 's', files: { files: 1, directories: 1, links: 0, bytes: 10 } },
  database: { bytes: 10, sha256: 'a', rows: 1, tables: 1, charset: 'utf8mb4', collation: 'utf8mb4_bin' },
};

/** What is known from the inventory is the product's own; the host is played. `fails`: how each try of a step ends. */
function played(fails: Partial<Record<string, FailureType[]>> = {}) {
  const done: string[] = [];
  const seen: string[] = [];
  const act =
    <Result>(name: string, result?: Result) =>
    async (): Promise<Result> => {
      done.push(name);
      seen.push((await sites.byId(chom.inventory.db, site)).status);
      const end = fails[name]?.shift();
      if (end === 'Bug') throw new TypeError('nobody thought of this');
      if (end) throw failure(end, 'the host says no');
      return result as Result;
    };
  const { beginRestore, recordRestore, beginUndo, recordUndo } = restoreActivities(chom.deps);
  const { checkBackup, recordBackup } = backupActivities(chom.deps);
  const activities: Omit<Restoring, 'lookForWindow' | 'removeKept' | 'recordEnd'> &
    Exchanging &
    Omit<BackingUp, 'withProgress'> &
    Pick<Preparing, 'prepareRepository'> = {
    ...{ beginRestore, recordRestore, beginUndo, recordUndo, checkBackup, recordBackup },
    readManifest: act('readManifest', FACTS),
    expectRoom: act('expectRoom'),
    stageFiles: act('stageFiles'),
    stagePath: act('stagePath'),
    importDatabase: act('importDatabase'),
    removeStaged: act('removeStaged'),
    closeSite: act('closeSite'),
    openSite: act('openSite', { version: 'v', secure: false }),
    reopenSite: act('reopenSite'),
    switchTo: act('switchTo'),
    switchBack: act('switchBack'),
    seeContent: act('seeContent'),
    async prepareRepository(_step, { storage }) {
      return { repository: `${storage}/${site}` };
    },
    async backUpSite(step, { backup: id, kind, tag, retentionDays }, repository) {
      await chom.inventory.transaction(async (trx) => {
        await backups.begin(trx, { id, operation: step.operation, site, repository, kind, tag, retentionDays });
      });
      await act('backUpSite')();
      const snapshots = [{ id: snapshotId(), role: 'manifest' as const, bytes: 1, newBytes: 1, files: 1 }];
      return { snapshots, manifestSha256: snapshotId(), apartSeconds: null, unreadable: { count: 0, items: [] } };
    },
    discardBackup: act('discardBackup'),
  };
  return { done, seen, activities };
}

async function run({ activities }: ReturnType<typeof played>, kind: OperationKind, plan: RestorePlan | object) {
  const request = { kind, input: plan, summary: 'a restore', tenant, server: 'web1', serverName: 'web1', site };
  const id = await chom.withWorker(activities, async () => {
    const operation = await submit(chom, request);
    const handle = chom.temporal.workflow.getHandle(operation);
    await handle.result().catch(() => undefined);
    return operation;
  });
  const waits = timersOf(await chom.replayed(id)).filter((seconds) => !CLOCKS.includes(seconds));
  const row = await operations.byId(chom.inventory.db, id);
  const all = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  const emitted = all.filter((type) => type !== 'OperationOverdue');
  const { status } = await sites.byId(chom.inventory.db, site);
  return { id, row, waits, emitted, status };
}

const client = () => ({ ...chom, tenant }) as unknown as Parameters<typeof planRestore>[0];
const planned = async (wanted: object = {}) => await planRestore(client(), { backup, ...wanted });
const restore = async (host: ReturnType<typeof played>, wanted: object = {}) =>
  await run(host, 'restore-backup', await planned(wanted));

test('[RB-04] [RB-05] a site is restoring meanwhile, and then what it was; [EV-01/RestoreStarted] [EV-01/RestoreCompleted]', async () => {
  const host = played();
  const { id, row, waits, emitted, status } = await restore(host);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(waits).toEqual([]);
  expect(host.done).toEqual([
    ...['readManifest', 'expectRoom', 'stageFiles', 'importDatabase', 'closeSite', 'backUpSite', 'switchTo'],
    ...['openSite', 'seeContent'],
  ]);
  expect([...new Set(host.seen)]).toEqual(['restoring']);
  expect(status).toBe('active');
  expect(emitted).toEqual(['RestoreStarted', 'RestoreCompleted']);
  const made = await restores.byOperation(chom.inventory.db, id);
  expect(made).toMatchObject({ state: 'restored', files: true, database: true, databaseCharset: 'utf8mb4' });
  expect(await backups.byId(chom.inventory.db, made.safety ?? '')).toMatchObject({ tag: 'pre-restore', kind: 'full' });
  const [owed] = await obligations.ofOperation(chom.inventory.db, id);
  expect(owed).toMatchObject({ name: 'undo-window', due: made.undoUntil });
});

describe('a restore that fails', () => {
  const BACK = ['closeSite', 'switchBack', 'reopenSite', 'removeStaged'];

  test('[RB-02] is tried 2 times, 60 s apart; [RB-10] [EV-01/RestoreFailed] then an event, an alert, and the site is what it was', async () => {
    const host = played({ seeContent: ['ProbeFailed', 'ProbeFailed'] });
    const { id, row, waits, emitted, status } = await restore(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
    expect(waits).toEqual([60]);
    expect(host.done.slice(-4)).toEqual(BACK);
    expect(emitted).toEqual(['RestoreStarted', 'RestoreFailed', 'Alert']);
    expect(status).toBe('active');
    expect(await restores.byOperation(chom.inventory.db, id)).toMatchObject({ state: 'failed' });
    expect(await obligations.ofOperation(chom.inventory.db, id)).toEqual([]);
  });

  test('[RB-09] for a reason that nobody thought of does not leave the site restoring', async () => {
    const host = played({ switchTo: ['Bug', 'Bug'] });
    const { row, waits, status } = await restore(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'Unexpected' });
    expect(waits).toEqual([60]);
    expect(host.done.slice(-3)).toEqual(['switchBack', 'reopenSite', 'removeStaged']);
    expect(status).toBe('active');
  });

  test('before anything was changed changes nothing', async () => {
    const host = played({ expectRoom: ['NoRoom'] });
    const { row, waits, status } = await restore(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'NoRoom' });
    expect(waits).toEqual([]);
    expect(host.done).toEqual(['readManifest', 'expectRoom', 'removeStaged']);
    expect(status).toBe('active');
  });

  test('because what is there cannot be backed up says how to go on without', async () => {
    const host = played({ backUpSite: ['DatabaseBroken'] });
    const { row, status } = await restore(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'DatabaseBroken' });
    expect(row.details?.next).toContain(`--no-safety-backup --confirm ${site}.test`);
    expect(host.done.slice(-3)).toEqual(['discardBackup', 'reopenSite', 'removeStaged']);
    expect(status).toBe('active');
  });
});

test('[RB-07] of a backup whose site is gone ends early', async () => {
  const plan = await planned();
  await chom.inventory.transaction(async (trx) => await sites.setStatus(trx, site, 'removed'));
  const host = played();
  const { row, waits, emitted } = await run(host, 'restore-backup', plan);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'NotFound' });
  expect(row.reason).toContain(`Site ${site}.test is gone`);
  expect([host.done, waits]).toEqual([[], []]);
  expect(emitted).toEqual(['RestoreFailed', 'Alert']);
  await expect(planned()).rejects.toMatchObject({ type: 'NotFound' });
});

test('[RB-08] into a site without a server ends early; [RB-11] its status is left as it was', async () => {
  const plan = await planned();
  const gone = `gone-${site}`;
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, gone);
    await trx.updateTable('sites').set({ server: gone }).where('id', '=', site).execute();
    await servers.setStatus(trx, gone, 'removed');
  });
  const host = played();
  const request = { kind: 'restore-backup' as const, summary: 'a restore', tenant, serverName: gone, site };
  const id = await chom.withWorker(host.activities, async () => {
    const operation = await submit(chom, { ...request, input: { ...plan, server: gone }, server: gone });
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const row = await operations.byId(chom.inventory.db, id);
  expect(row).toMatchObject({ outcome: 'failed', failureType: 'NotFound' });
  expect(row.reason).toContain('has no server');
  expect(timersOf(await chom.replayed(id)).filter((seconds) => !CLOCKS.includes(seconds))).toEqual([]);
  expect(host.done).toEqual([]);
  expect((await sites.byId(chom.inventory.db, site)).status).toBe('active');
});

test('without a safety backup, of one path, of files or of the database does no more than that', async () => {
  const bare = played();
  expect((await restore(bare, { safetyBackup: false })).row.outcome).toBe('succeeded');
  expect(bare.done).not.toContain('backUpSite');
  const path = played();
  expect((await restore(path, { path: 'app/uploads' })).row.outcome).toBe('succeeded');
  expect(path.done).toEqual(['readManifest', 'expectRoom', 'stagePath', 'backUpSite', 'switchTo']);
  const files = played();
  expect((await restore(files, { only: 'files' })).row.outcome).toBe('succeeded');
  expect(files.done).not.toContain('importDatabase');
  const database = played();
  expect((await restore(database, { only: 'database' })).row.outcome).toBe('succeeded');
  expect(database.done).not.toContain('stageFiles');
});

test('an undo puts back what was there; one that fails leaves what was restored', async () => {
  const { id } = await restore(played());
  const failing = played({ openSite: ['ConfigurationRejected'] });
  const failed = await run(failing, 'undo-restore', await planUndo(client(), { operation: id }));
  expect(failed).toMatchObject({ row: { outcome: 'failed' }, status: 'active' });
  expect(failing.done).toEqual([
    'closeSite',
    'backUpSite',
    'switchBack',
    'openSite',
    'closeSite',
    'switchTo',
    'reopenSite',
  ]);
  expect(failed.emitted).toEqual(['RestoreUndoFailed', 'Alert']);
  const { id: later } = await restore(played());
  await expect(planUndo(client(), { operation: id })).rejects.toMatchObject({
    type: 'Conflict',
    details: [{ next: `chom backup undo-restore ${later}` }],
  });
  const host = played();
  const undone = await run(host, 'undo-restore', await planUndo(client(), { operation: later }));
  expect(undone).toMatchObject({ row: { outcome: 'succeeded' }, status: 'active', emitted: ['RestoreUndone'] });
  expect(host.done).toEqual(['closeSite', 'backUpSite', 'switchBack', 'openSite', 'seeContent']);
  expect(await restores.byOperation(chom.inventory.db, later)).toMatchObject({ state: 'undone' });
  await planUndo(client(), { operation: id });
});
