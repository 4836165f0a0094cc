import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { cleaningActivities } from '../../src/activities/cleaning.js';
import { submit } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import type { CleaningPlan, PurgePlan } from '../../src/workflows/cleaning-plan.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { StepContext } from '../../src/workflows/step.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { liveSite } from './site-records.js';

let chom: WorkflowEnvironment;
let plan: PurgePlan;

beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
  await chom.inventory.transaction(async (trx) => await activeServer(trx, 'web1'));
});
afterAll(async () => await chom?.close());

beforeEach(async () => {
  const named = await liveSite(chom);
  plan = {
    ...named,
    ...{ repository: `st/${named.site}`, storage: 'st', storageName: 'store' },
  };
});

/** Steps that note what they did; `ends` says how the tries of one end, null is well. */
function played(
  ends: Partial<Record<keyof ReturnType<typeof cleaningActivities>, (FailureType | null)[]>> = {},
  { spent = false } = {},
) {
  const done: string[] = [];
  const act = (name: keyof typeof ends) => {
    const end = ends[name]?.shift();
    if (end) throw failure(end, `${name} fails`);
    done.push(name);
  };
  const commit = async ({ operation, epoch }: StepContext) => {
    const run = (await operations.byId(chom.inventory.db, operation)).run ?? '';
    await chom.inventory.fenced({ operation, run, epoch }, (trx) => operations.commitOperation(trx, operation));
  };
  const activities: ReturnType<typeof cleaningActivities> & { closeLogin(): Promise<void> } = {
    async closeLogin() {
      done.push('closeLogin');
    },
    async lookIntoRepository() {
      act('lookIntoRepository');
      return { bytes: 1000, findings: ['Snapshots that CHOM did not make: one'] };
    },
    async removeBackups() {
      act('removeBackups');
      return spent;
    },
    pruneRepository: async () => act('pruneRepository'),
    async recordCleaning(step, _plan, before) {
      act('recordCleaning');
      expect(before).toBe(1000);
      await commit(step);
    },
    async measureRepository() {
      act('measureRepository');
      return 1000;
    },
    removeAllBackups: async () => act('removeAllBackups'),
    emptyRepository: async () => act('emptyRepository'),
    async recordPurge(step) {
      act('recordPurge');
      await commit(step);
    },
  };
  return { done, activities };
}

async function cleaned(host: ReturnType<typeof played>, kind: 'clean-backups' | 'purge-backups' = 'clean-backups') {
  const { tenant, server, serverName, site, domain } = plan;
  const cleaning: CleaningPlan = { ...plan, confirmed: ['babcdefghi'], despiteFindings: false };
  const input = kind === 'clean-backups' ? cleaning : plan;
  const id = await chom.withWorker(host.activities, async () => {
    const request = { kind, input, summary: 'cleaning', tenant, server, serverName, site, domain };
    const operation = await submit(chom, request);
    await chom.temporal.workflow
      .getHandle(operation)
      .result()
      .catch(() => undefined);
    return operation;
  });
  await chom.replayed(id);
  const emitted = (await events.list(chom.inventory.db, { operation: id })).map(({ type }) => type);
  const row = await operations.byId(chom.inventory.db, id);
  return { row, emitted: emitted.filter((type) => type !== 'OperationOverdue') };
}

test('cleaning looks first, then removes, gives the space back and records it; what is odd there is a warning', async () => {
  const host = played();
  const { row } = await cleaned(host);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true });
  expect(row.warnings).toEqual(['Snapshots that CHOM did not make: one']);
  expect(host.done).toEqual(['lookIntoRepository', 'removeBackups', 'pruneRepository', 'recordCleaning']);
});

test('cleaning that removes the last backup of a deleted site closes the login of its repository', async () => {
  const host = played({}, { spent: true });
  const { row } = await cleaned(host);
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true });
  const did = ['lookIntoRepository', 'removeBackups', 'pruneRepository', 'closeLogin', 'recordCleaning'];
  expect(host.done).toEqual(did);
});

describe('cleaning that fails', () => {
  test('because of what lies there is not tried again, and raises an alert', async () => {
    const host = played({ lookIntoRepository: ['RepositorySuspect'] });
    const { row, emitted } = await cleaned(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'RepositorySuspect' });
    expect(host.done).toEqual([]);
    expect(emitted).toEqual(['BackupCleaningFailed', 'Alert']);
  });

  test('at a lock is tried again for as long as a dead machine’s holds, and takes nothing back', async () => {
    const host = played({ removeBackups: ['RepositoryLocked', 'RepositoryLocked', 'RepositoryLocked', null] });
    const { row } = await cleaned(host);
    expect(row).toMatchObject({ outcome: 'succeeded' });
    expect(row.warnings).toEqual(['Snapshots that CHOM did not make: one']);
    expect(host.done.slice(-3)).toEqual(['removeBackups', 'pruneRepository', 'recordCleaning']);
  });

  test('while it gives the space back has removed, and fails', async () => {
    const host = played({ pruneRepository: ['RepositoryDamaged'] });
    const { row } = await cleaned(host);
    expect(row).toMatchObject({ outcome: 'failed', failureType: 'RepositoryDamaged' });
    expect(host.done).toEqual(['lookIntoRepository', 'removeBackups']);
  });
});

test('purging removes everything and sees that nothing is left', async () => {
  const host = played();
  const { row } = await cleaned(host, 'purge-backups');
  expect(row).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect(host.done).toEqual(['measureRepository', 'removeAllBackups', 'emptyRepository', 'closeLogin', 'recordPurge']);
});
