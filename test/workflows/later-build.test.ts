import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { backupActivities } from '../../src/activities/backup.js';
import { randomId, submit } from '../../src/client/submit.js';
import * as backups from '../../src/inventory/backups.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import type { BackupPlan, MadeBackup } from '../../src/workflows/backup-plan.js';
import type { StepContext } from '../../src/workflows/step.js';
import { activeServer, sitePlan } from '../inventory/records.js';
import { restStorage } from '../inventory/storage-records.js';
import { AUTO_UPGRADE, bound, DEPLOYMENT, PINNED, promoted, workerCommand } from './builds.js';
import { bundled } from './bundled.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';

const made = async (): Promise<MadeBackup> => ({
  snapshots: [{ role: 'manifest', id: randomBytes(32).toString('hex'), bytes: 1000, newBytes: 10, files: 1 }],
  ...{ manifestSha256: 'ab'.repeat(32), apartSeconds: null, unreadable: { count: 0, items: [] } },
});

let chom: WorkflowEnvironment;
let directory: string;
let later: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chom-later-'));
  later = await bundled(new URL('later-build.ts', import.meta.url), join(directory, 'bundle.js'));
  // The server that skips time leaves a workflow to the worker that had it last.
  chom = await startEnvironment(inject('workflowBundle'), 'real');
  await chom.inventory.transaction(async (trx) => {
    await activeServer(trx, 'web1');
    await storages.add(trx, chom.keyring, restStorage('st', 'store'));
  });
});
afterAll(async () => {
  await chom?.close();
  await rm(directory, { recursive: true, force: true });
});

async function newPlan(): Promise<BackupPlan> {
  const site = `s${randomId(9)}`;
  const domain = `${site}.test`;
  await chom.inventory.transaction(async (trx) => {
    await sites.reserve(trx, sitePlan(site, domain), `provision-${site}`);
    await sites.activate(trx, site);
  });
  return {
    ...{ backup: `b${randomId(9)}`, site, tenant: 'default', server: 'web1', serverName: 'web1', domain },
    ...{ type: 'static', php: null, database: false, kind: 'full', tag: 'manual', retentionDays: null },
    ...{ storage: 'st', storageName: 'store' },
  };
}

const ask = async (plan: BackupPlan) => {
  const { tenant, server, serverName, site, domain } = plan;
  const place = { tenant, server, serverName, site, domain };
  return await submit(chom, { kind: 'create-backup', input: plan, summary: 'a backup', ...place });
};

/** The inventory's part is the product's own; `backUp` plays the host, and is told when it has begun. */
function activities(backUp: () => Promise<MadeBackup>) {
  const { checkBackup, recordBackup } = backupActivities(chom.deps);
  return {
    ...{ checkBackup, recordBackup, discardBackup: async () => {} },
    async prepareRepository(_: StepContext, { storage, site }: BackupPlan) {
      const repository = {
        storage,
        site,
        url: `rest:https://store.example/${site}`,
        password: Buffer.from('password'),
      };
      const { id } = await chom.inventory.transaction(
        async (trx) => await repositories.add(trx, chom.keyring, repository),
      );
      return { repository: id };
    },
    async backUpSite(step: StepContext, { backup: id, site, kind, tag, retentionDays }: BackupPlan, into: string) {
      await chom.inventory.transaction(async (trx) => {
        const { operation } = step;
        await backups.begin(trx, { id, operation, site, repository: into, kind, tag, retentionDays });
      });
      return await backUp();
    },
  };
}

/** The steps that were asked for, in order, by the names of their activities. */
async function stepsOf(operation: string): Promise<string[]> {
  const { events } = await chom.temporal.workflow.getHandle(operation).fetchHistory();
  const names = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? '');
  return names.filter((name) => /Backup$|Repository$|Site$/.test(name));
}

test('[CB-03/later-build] a backup under way is taken over by a worker of a later build, and ends as that one would', async () => {
  const plan = await newPlan();
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const hangs = activities(async () => {
    begin();
    return await (Context.current().cancelled as Promise<never>);
  });
  // Its worker leaves in the middle of the backup.
  const operation = await chom.withWorker(hangs, async () => {
    const id = await ask(plan);
    await begun;
    return id;
  });
  await chom.withWorker(
    activities(made),
    async () => await chom.temporal.workflow.getHandle(operation).result(),
    later,
  );
  expect(await operations.byId(chom.inventory.db, operation)).toMatchObject({ outcome: 'succeeded', committed: true });
  expect(await backups.byId(chom.inventory.db, plan.backup)).toMatchObject({ operation, state: 'completed' });
  // What it had done stays as it was; what it had not is as the later build has it.
  const [check, prepare, backUp, record] = ['checkBackup', 'prepareRepository', 'backUpSite', 'recordBackup'];
  expect(await stepsOf(operation)).toEqual([check, prepare, backUp, check, record]);
  await chom.replayed(operation, later);
  // The build that it began with would not have done that.
  await expect(chom.replayed(operation)).rejects.toThrow(/nondeterminism|Nondeterminism|TMPRL1100/);

  const next = await newPlan();
  const another = await chom.withWorker(
    activities(made),
    async () => {
      const id = await ask(next);
      await chom.temporal.workflow.getHandle(id).result();
      return id;
    },
    later,
  );
  expect(await stepsOf(another)).toEqual([prepare, check, backUp, check, record]);
});

test('an operation ends with the build that began it, new ones go to the one that was promoted, and a schedule moves', async () => {
  const [old, young] = ['1', '2'].map((buildId) => ({ deploymentName: DEPLOYMENT, buildId }));
  expect(await workerCommand(chom, 'promote', '1')).toMatchObject({
    status: 5,
    stdout: expect.stringContaining('no worker of it has come'),
  });
  const signals = { begun: () => {}, release: () => {} };
  const begun = new Promise<void>((resolve) => (signals.begun = resolve));
  const released = new Promise<void>((resolve) => (signals.release = resolve));
  const scheduling = { askScheduled: async () => ({ asked: 0, waiting: [], refused: [] }) };
  const held = activities(async () => {
    signals.begun();
    await Promise.race([released, Context.current().cancelled]);
    return await made();
  });
  const { taskQueue } = chom.config;
  await chom.withWorker(
    { ...held, ...scheduling },
    async () => {
      await promoted(chom, '1');
      const operation = await ask(await newPlan());
      const schedule = await chom.temporal.workflow.start('runSchedule', {
        ...{ taskQueue, workflowId: `schedule-${randomId(12)}` },
        args: [{ work: 'back-up-sites', definition: 'x', windowMinutes: 60 }],
      });
      await begun;
      await poll('the schedule runs', 60_000, async () => (await bound(chom, schedule.workflowId))[0] === '1');
      await chom.withWorker(
        { ...activities(made), ...scheduling },
        async () => {
          await promoted(chom, '2');
          const next = await ask(await newPlan());
          await chom.temporal.workflow.getHandle(next).result();
          expect(await stepsOf(next)).toContain('checkBackup');
          expect((await stepsOf(next))[0]).toBe('prepareRepository');
          expect(await bound(chom, next)).toEqual(['2', PINNED]);
          // Whatever wakes it: here a signal, in life its next minute.
          await schedule.signal('wake');
          await poll('the schedule moves', 60_000, async () => (await bound(chom, schedule.workflowId))[0] === '2');
          expect(await bound(chom, schedule.workflowId)).toEqual(['2', AUTO_UPGRADE]);
          await schedule.terminate();

          expect(await bound(chom, operation)).toEqual(['1', PINNED]);
          const { stdout } = await workerCommand(chom, 'builds');
          expect(JSON.parse(stdout)).toMatchObject({
            deployment: DEPLOYMENT,
            builds: [
              { build: '2', state: 'current' },
              { build: '1', state: 'draining' },
            ],
          });
          signals.release();
          await chom.temporal.workflow.getHandle(operation).result();
          expect(await bound(chom, operation)).toEqual(['1', PINNED]);
          expect(await stepsOf(operation)).toEqual(['checkBackup', 'prepareRepository', 'backUpSite', 'recordBackup']);
          await chom.replayed(operation);
        },
        later,
        young,
      );
    },
    undefined,
    old,
  );
});
