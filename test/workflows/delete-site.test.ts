import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { backupActivities } from '../../src/activities/backup.js';
import { clearingActivities } from '../../src/activities/clearing.js';
import { deletionActivities } from '../../src/activities/deletion.js';
import { verificationActivities } from '../../src/activities/verification.js';
import { describeOwed } from '../../src/client/operation.js';
import type { Chom } from '../../src/client/open.js';
import { randomId, submit } from '../../src/client/submit.js';
import { sweep } from '../../src/client/sweep.js';
import { clearNow } from '../../src/client/tries.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as retentions from '../../src/inventory/retentions.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import type { BackupPlan, MadeBackup } from '../../src/workflows/backup-plan.js';
import { type DeletionPlan, KEPT_CERTIFICATE, SITE_REMOVAL } from '../../src/workflows/deletion-plan.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { RestoreFacts } from '../../src/host/restore-manifest.js';
import type { WorkflowEnvironment } from './environment.js';
import { liveSite, snapshotId, startWithStorage } from './site-records.js';

let chom: WorkflowEnvironment;
let plan: DeletionPlan;

beforeAll(async () => {
  chom = await startWithStorage(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  const named = {
    ...(await liveSite(chom)),
    ...({ type: 'static', php: null, database: false } as const),
  };
  const final: BackupPlan = {
    ...{ ...named, backup: `b${randomId(9)}`, kind: 'full', tag: 'final', retentionDays: null },
    ...{ storage: 'st', storageName: 'store' },
  };
  plan = { ...named, aliases: [], tls: false, final };
});

const snapshot = (role: 'files' | 'manifest') => ({ role, id: snapshotId(), bytes: 1000, newBytes: 10, files: 1 });

/** What can be known from the inventory is the product's own; the host is played. `ends`: how each try of a step ends. */
function played(ends: Partial<Record<string, (FailureType | null)[]>> = {}, unreadable = 0) {
  const done: string[] = [];
  const act = (name: string) => async () => {
    const end = ends[name]?.shift();
    if (end) throw failure(end, 'the host says no');
    done.push(name);
  };
  const { checkBackup, recordBackup } = backupActivities(chom.deps);
  const { checkVerification, recordVerification } = verificationActivities(chom.deps);
  const { lookForRemoval, recordDeletion, lookForKept, recordDiscard } = clearingActivities(chom.deps);
  const activities = {
    ...deletionActivities(chom.deps),
    ...{ checkBackup, recordBackup, checkVerification, recordVerification },
    ...{ lookForRemoval, recordDeletion, lookForKept, recordDiscard },
    closeSite: act('close'),
    reopenSite: act('reopen'),
    async prepareRepository(_step: unknown, { site, storage }: BackupPlan) {
      const url = `rest:https://store.example/${site}`;
      const of = { storage, site, url, password: Buffer.from('password') };
      const made = async (trx: Parameters<typeof repositories.add>[0]) => await repositories.add(trx, chom.keyring, of);
      return { repository: (await chom.inventory.transaction(made)).id };
    },
    async backUpSite(step: { operation: string }, { backup: id, site, kind, tag }: BackupPlan, repository: string) {
      await chom.inventory.transaction(async (trx) => {
        const row = { id, operation: step.operation, site, repository, kind, tag, retentionDays: null };
        await backups.begin(trx, row);
      });
      await act('back up')();
      const came = {
        snapshots: [snapshot('files'), snapshot('manifest')],
        manifestSha256: snapshotId(),
        apartSeconds: null,
      };
      return { ...came, unreadable: { count: unreadable, items: [] } } satisfies MadeBackup;
    },
    discardBackup: act('discard'),
    fetchScratchManifest: async (): Promise<RestoreFacts> => ({
      ...{ format: 1, operation: 'create', site: plan.site, database: null },
      files: { files: 1, directories: 1, links: 0, bytes: 1000 },
    }),
    findScratchRoom: act('room'),
    stageScratchFiles: act('verify'),
    removeScratch: act('remove scratch'),
    withdraw: act('withdraw'),
    removeJobs: act('jobs'),
    removePhp: act('php'),
    dropDatabases: act('databases'),
    async keepCertificate() {
      await act('keep')();
      return { certificate: true };
    },
    removeFiles: act('files'),
    removeKeptCertificate: act('discard certificate'),
  };
  return { done, activities };
}

const outcomeOf = async (id: string) =>
  await chom.temporal.workflow
    .getHandle(id)
    .result()
    .then(
      () => 'well',
      () => 'not well',
    );

async function ask(): Promise<string> {
  const { tenant, server, serverName, site, domain } = plan;
  const where = { tenant, server, serverName, site, domain };
  return await submit(chom, { kind: 'delete-site', input: plan, summary: 'delete', ...where });
}

const byId = async (id: string) => await operations.byId(chom.inventory.db, id);
const site = async () => await sites.byId(chom.inventory.db, plan.site);
const types = async (operation: string) =>
  (await events.list(chom.inventory.db, { operation })).map(({ type }) => type);
const isFree = async () => (await sites.holding(chom.inventory.db, plan.domain)) === null;

const CLEARED = ['withdraw', 'jobs', 'keep', 'files'];

test('a site goes once its last backup was made and tried out, and its backups from then on as those of a deleted one', async () => {
  const { done, activities } = played();
  const id = await chom.withWorker(activities, async () => {
    const asked = await ask();
    expect(await outcomeOf(asked)).toBe('well');
    return asked;
  });
  expect(done).toEqual(['close', 'back up', 'room', 'verify', 'remove scratch', ...CLEARED]);
  expect(await byId(id)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(await site()).toMatchObject({ status: 'removed', deletedBy: id });
  expect(await isFree()).toBe(true);
  expect(await types(`${id}/removal`)).toEqual(['SiteDeleted']);
  expect(await backups.byId(chom.inventory.db, plan.final?.backup ?? '')).toMatchObject({ state: 'verified' });
  expect(await retentions.ofSite(chom.inventory.db, plan.site)).toMatchObject({ siteDeletedAt: expect.any(String) });
  const owed = await obligations.stillOpen(chom.inventory.db, { site: plan.site });
  expect(owed.map(({ name }) => name)).toEqual([KEPT_CERTIFICATE]);
  for (const one of [id, `${id}/final`, `${id}/verification`, `${id}/removal`]) await chom.replayed(one);

  await chom.withWorker(activities, async () => {
    const [tried = ''] = (await sweep(chom, Date.parse(owed[0]?.due ?? ''))).tried;
    expect(await outcomeOf(tried)).toBe('well');
    await chom.replayed(tried);
  });
  expect(done.at(-1)).toBe('discard certificate');
  expect(await obligations.stillOpen(chom.inventory.db, { site: plan.site })).toEqual([]);
});

test.each([
  ['cannot be made', { 'back up': ['StorageRefused'] }, 0],
  ['does not restore', { verify: ['RepositoryDamaged'] }, 0],
  ['is partial', {}, 3],
] as const)('a site whose last backup %s stays, and is told how it goes without', async (_, ends, unreadable) => {
  const faults = Object.fromEntries(Object.entries(ends).map(([name, all]) => [name, [...all]]));
  const { done, activities } = played(faults, unreadable);
  const id = await chom.withWorker(activities, async () => {
    const asked = await ask();
    expect(await outcomeOf(asked)).toBe('not well');
    return asked;
  });
  expect(done.at(-1)).toBe('reopen');
  const row = await byId(id);
  expect(row).toMatchObject({ outcome: 'failed', committed: false });
  expect(row.details).toMatchObject({ next: expect.stringContaining('--no-final-backup') });
  expect(await site()).toMatchObject({ status: 'active', deletedBy: null });
  expect(await isFree()).toBe(false);
  expect(await types(id)).toEqual(['SiteDeletionFailed', 'Alert']);
  expect(await obligations.stillOpen(chom.inventory.db, { site: plan.site })).toEqual([]);
  await chom.replayed(id);
});

test('a site whose server is away meanwhile is owed to be gone, keeps its names until it is, and is tried again for as long as that takes', async () => {
  plan = { ...plan, final: null };
  const away = Array.from({ length: 40 }, () => 'Unreachable' as const);
  const { done, activities } = played({ files: away });
  const id = await chom.withWorker(activities, async () => {
    const asked = await ask();
    expect(await outcomeOf(asked)).toBe('well');
    return asked;
  });
  expect(await byId(id)).toMatchObject({ warnings: [expect.stringContaining('the host says no')] });
  expect(await site()).toMatchObject({ status: 'deleting' });
  expect(await isFree()).toBe(false);
  const key = { operation: id, name: SITE_REMOVAL };
  const owed = async () => {
    const found = await obligations.find(chom.inventory.db, key);
    if (!found) throw new Error('nothing is owed');
    return found;
  };
  expect(describeOwed([await owed()])).toContain('what is left of the site is taken away');
  await chom.withWorker(activities, async () => {
    for (let n = 1; n <= 12; n += 1) {
      expect((await sweep(chom, Date.parse((await owed()).due))).tried).toEqual([tries.tryId(key, n)]);
      expect(await outcomeOf(tries.tryId(key, n))).toBe('not well');
      expect(await owed()).toMatchObject({ state: 'open' });
    }
    away.length = 0;
    const client: Chom = { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
    const asked = await clearNow(client, id);
    expect(asked).toBe(tries.tryId(key, 13));
    expect(await outcomeOf(asked ?? '')).toBe('well');
    await chom.replayed(asked ?? '');
  });
  expect(done.at(-1)).toBe('files');
  expect(await site()).toMatchObject({ status: 'removed' });
  expect(await isFree()).toBe(true);
  expect(await owed()).toMatchObject({ state: 'done' });
  await chom.replayed(id);
});

test('what was not given up is not taken away, whoever asks', async () => {
  const { done, activities } = played();
  const { final: _, ...input } = plan;
  const { tenant, server, serverName, domain } = plan;
  const where = { tenant, server, serverName, site: plan.site, domain };
  const id = await chom.withWorker(activities, async () => {
    const asked = await submit(chom, { kind: 'clear-site', input, summary: 'clear', ...where });
    expect(await outcomeOf(asked)).toBe('not well');
    return asked;
  });
  expect(await byId(id)).toMatchObject({ failureType: 'Forbidden' });
  expect(done).toEqual([]);
  expect(await site()).toMatchObject({ status: 'active' });
});
