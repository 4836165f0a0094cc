import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { verificationActivities } from '../../src/activities/verification.js';
import { randomId, submit } from '../../src/client/submit.js';
import type { RestoreFacts } from '../../src/host/restore-manifest.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { VerificationPlan } from '../../src/workflows/verification-plan.js';
import { activeServer } from '../inventory/records.js';
import type { WorkflowEnvironment } from './environment.js';
import { liveSite, startWithStorage } from './site-records.js';
import { timersOf } from './timers.js';

type Activities = ReturnType<typeof verificationActivities>;
type Name = keyof Activities;

/** Of the clock that watches for twice the expected 5 minutes. */
const CLOCK = 600;

let chom: WorkflowEnvironment;
let plan: VerificationPlan;

beforeAll(async () => {
  chom = await startWithStorage(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  const named = await liveSite(chom);
  const { site } = named;
  const backup = `b${randomId(9)}`;
  await chom.inventory.transaction(async (trx) => {
    const url = `rest:https://store.example/${site}`;
    await repositories.add(trx, chom.keyring, { storage: 'st', site, url, password: Buffer.from('password') });
    const about = { site, repository: `st/${site}`, kind: 'full', tag: 'manual', retentionDays: null } as const;
    await backups.begin(trx, { id: backup, operation: `create-${backup}`, ...about });
  });
  plan = {
    ...{ ...named, backup, kind: 'full' },
    ...{ type: 'wordpress', php: '8.4', database: true },
  };
});

const state = async () => await backups.byId(chom.inventory.db, plan.backup);
const finish = async (as: 'completed' | 'partial' | 'verified' = 'completed') =>
  await chom.inventory.transaction(async (trx) => {
    const came = { bytes: 1, newBytes: 1, files: 1, manifestSha256: 'ab'.repeat(32), apartSeconds: null };
    await backups.finish(trx, plan.backup, { ...came, state: as === 'partial' ? 'partial' : 'completed' });
    if (as === 'verified') await backups.markVerified(trx, plan.backup);
  });

const facts = (of: { files?: null; database?: null } = {}): RestoreFacts => ({
  ...{ format: 1, operation: 'create', site: plan.site },
  files: { files: 4, directories: 5, links: 6, bytes: 7000 },
  database: { bytes: 1000, sha256: '5'.repeat(64), rows: 8, tables: 2, charset: 'utf8mb4', collation: 'utf8mb4_bin' },
  ...of,
});

/**
 * What can be known from the inventory is the product's own; the host is played. `ends`: how each try of a step ends
 * there, where not well.
 */
function played(held: RestoreFacts, ends: Partial<Record<Name, (FailureType | TypeError)[]>> = {}) {
  const done: Name[] = [];
  async function act(name: Name): Promise<void> {
    done.push(name);
    const end = ends[name]?.shift();
    if (end instanceof TypeError) throw end;
    if (end) throw failure(end, 'the host says no');
  }
  const { checkVerification, recordVerification } = verificationActivities(chom.deps);
  const activities: Activities = {
    checkVerification,
    recordVerification,
    async fetchScratchManifest() {
      await act('fetchScratchManifest');
      return held;
    },
    findScratchRoom: async () => await act('findScratchRoom'),
    stageScratchFiles: async () => await act('stageScratchFiles'),
    fetchScratchDump: async () => await act('fetchScratchDump'),
    async tryScratchSite() {
      await act('tryScratchSite');
      return { status: 200, bytes: 51 };
    },
    removeScratch: async () => await act('removeScratch'),
  };
  return { done, activities };
}

async function verify({ activities }: Pick<ReturnType<typeof played>, 'activities'>) {
  const { tenant, server, serverName, site, domain } = plan;
  const request = { kind: 'verify-backup', input: plan, summary: 'verify', tenant, server, serverName, site, domain };
  const id = await chom.withWorker(activities, async () => {
    const operation = await submit(chom, { ...request, kind: 'verify-backup' });
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  const timers = timersOf(await chom.replayed(id));
  const row = await operations.byId(chom.inventory.db, id);
  const emitted = await events.list(chom.inventory.db, { operation: id });
  return { row, waits: timers.filter((seconds) => seconds !== CLOCK), emitted };
}

const types = (emitted: Awaited<ReturnType<typeof verify>>['emitted']) => emitted.map(({ type }) => type);

describe('a backup that restores', () => {
  test('is verified once nothing of it lies beside the site any more, with what was compared', async () => {
    await finish();
    const host = played(facts());
    const { row, waits, emitted } = await verify(host);
    expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
    expect(waits).toEqual([]);
    expect(host.done).toEqual([
      ...['fetchScratchManifest', 'findScratchRoom', 'stageScratchFiles', 'fetchScratchDump', 'tryScratchSite'],
      'removeScratch',
    ]);
    expect(types(emitted)).toEqual(['BackupVerified']);
    expect(emitted[0]?.data).toMatchObject({ files: 4, tables: 2, rows: 8, page: { status: 200, bytes: 51 } });
    expect(await state()).toMatchObject({ state: 'verified', verifiedAt: expect.any(String), verifyFailedAt: null });
  });

  test.each([
    ['the files of a site with a database', { database: null }, {}, ['stageScratchFiles']],
    ['the database', { files: null }, {}, ['fetchScratchDump', 'tryScratchSite']],
    ['a static site', { database: null }, { type: 'static', php: null, database: false }, ['stageScratchFiles']],
    [
      'a PHP site without a database',
      ...[{ database: null }, { type: 'php', database: false }],
      ['stageScratchFiles', 'fetchScratchDump', 'tryScratchSite'],
    ],
  ] as const)('of %s is tried as far as it goes', async (_, held, site, tried) => {
    await finish();
    plan = { ...plan, ...site };
    const host = played(facts(held));
    const { row } = await verify(host);
    expect(row).toMatchObject({ outcome: 'succeeded' });
    const always = ['fetchScratchManifest', 'findScratchRoom', 'removeScratch'];
    expect(host.done.filter((name) => !always.includes(name))).toEqual(tried);
  });

  test('is not verified where a copy of it stays beside the site', async () => {
    await finish();
    const host = played(facts(), { removeScratch: ['StaleClaim', 'StaleClaim'] });
    const { row, emitted } = await verify(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'StaleClaim' });
    expect(row.warnings).toEqual(['Not undone: Read the manifest: the host says no']);
    expect(types(emitted)).toEqual(['BackupVerificationFailed', 'Alert']);
    expect(await state()).toMatchObject({ state: 'completed', verifiedAt: null });
    const owed = await chom.inventory.db
      .selectFrom('obligations')
      .selectAll()
      .where('operation', '=', row.id)
      .execute();
    expect(owed).toMatchObject([{ name: 'undo', state: 'open' }]);
  });
});

describe('a backup that does not restore', () => {
  test('is said to, once, and what was restored is removed', async () => {
    await finish();
    const host = played(facts(), { tryScratchSite: ['RepositoryDamaged'] });
    const { row, waits, emitted } = await verify(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'RepositoryDamaged', reason: 'the host says no' });
    expect(waits).toEqual([]);
    expect(host.done.slice(-2)).toEqual(['tryScratchSite', 'removeScratch']);
    expect(types(emitted)).toEqual(['BackupVerificationFailed', 'Alert']);
    expect(await state()).toMatchObject({ state: 'completed', verifiedAt: null });
  });

  test('for a page that does not come is tried 3 times, 60 s apart', async () => {
    await finish();
    const host = played(facts(), { tryScratchSite: ['ProbeFailed', 'ProbeFailed', 'ProbeFailed'] });
    const { row, waits } = await verify(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'ProbeFailed' });
    expect(waits).toEqual([60, 60]);
    expect(host.done.filter((name) => name === 'tryScratchSite')).toHaveLength(3);
    expect(host.done.at(-1)).toBe('removeScratch');
  });
});

test('a storage that is away says nothing of the backup, and what nobody thought of is tried again', async () => {
  await finish('verified');
  const ends = { stageScratchFiles: [new TypeError('nobody thought of this'), 'StorageUnreachable' as const] };
  const { row, waits } = await verify(played(facts(), ends));
  expect(row).toMatchObject({ outcome: 'succeeded' });
  expect(waits).toEqual([60, 60]);
  expect(await state()).toMatchObject({ state: 'verified', verifyFailedAt: null });
});

describe('what cannot be verified ends early, and touches no server', () => {
  test('a backup that is partial', async () => {
    await finish('partial');
    expect(await refused()).toEqual({ type: 'Conflict', message: `Backup ${plan.backup} is partial` });
  });

  test('one that is being made', async () => {
    expect(await refused()).toEqual({ type: 'Conflict', message: `Backup ${plan.backup} is creating` });
  });

  test('one of another site', async () => {
    await finish();
    const { site: other } = await liveSite(chom);
    plan = { ...plan, site: other };
    expect(await refused()).toEqual({
      type: 'Forbidden',
      message: `Backup ${plan.backup} is not one of ${plan.domain}`,
    });
  });

  test('one of a site that is not live', async () => {
    await finish();
    await chom.inventory.transaction((trx) => sites.setStatus(trx, plan.site, 'removed'));
    expect(await refused()).toEqual({ type: 'Conflict', message: `Site ${plan.domain} is removed` });
  });

  test('one of a site whose server is gone', async () => {
    await finish();
    const gone = `gone-${plan.site}`;
    await chom.inventory.transaction(async (trx) => {
      await activeServer(trx, gone);
      await trx.updateTable('sites').set({ server: gone }).where('id', '=', plan.site).execute();
      await servers.setStatus(trx, gone, 'removed');
    });
    plan = { ...plan, server: gone };
    expect(await refused()).toEqual({ type: 'NotFound', message: `Site ${plan.domain} has no server` });
  });

  async function refused() {
    const host = played(facts());
    const { row, waits, emitted } = await verify(host);
    expect(waits).toEqual([]);
    expect(host.done).toEqual([]);
    expect(types(emitted)).toEqual(['BackupVerificationFailed', 'Alert']);
    return { type: row.failureType, message: row.reason };
  }
});
