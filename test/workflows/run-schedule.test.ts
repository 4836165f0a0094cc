import type { WorkflowHandle } from '@temporalio/client';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Scheduler } from '../../src/activities/schedule.js';
import { scheduleActivities } from '../../src/activities/schedule.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import { randomId } from '../../src/client/submit.js';
import { failure } from '../../src/workflows/failures.js';
import type { Round, RoundEnd, RunState, ScheduledRun, ScheduleResult } from '../../src/workflows/run-schedule.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';

const MINUTE = 60_000;
let chom: WorkflowEnvironment;
beforeAll(async () => {
  chom = await startEnvironment(inject('workflowBundle'));
});
afterAll(async () => await chom?.close());

interface Played {
  rounds: Round[];
  told: Parameters<Scheduler['tell']>[0][];
  result: ScheduleResult;
}

/** A run whose rounds end as `ends` says, and whose history is replayed. */
async function played(
  windowMinutes: number,
  ends: (round: Round, n: number) => Partial<RoundEnd>,
  state?: RunState,
): Promise<Played> {
  const rounds: Round[] = [];
  const told: Played['told'] = [];
  const scheduler: Scheduler = {
    async ask(round) {
      rounds.push(round);
      return { ...{ asked: 0, waiting: [], refused: [] }, ...ends(round, rounds.length) };
    },
    async tell(run) {
      told.push(run);
    },
  };
  const dataConverter = sealedDataConverter(chom.keyring);
  const workflowBundle = { codePath: inject('workflowBundle') };
  const taskQueue = `schedule-${randomId(12)}`;
  const worker = await Worker.create({
    ...{ connection: chom.connection, taskQueue, workflowBundle, dataConverter },
    activities: scheduleActivities(chom.deps, scheduler),
  });
  const run: ScheduledRun = { work: 'back-up-sites', definition: 'x', windowMinutes, ...(state && { state }) };
  const workflowId = `chom-back-up-sites-${randomId(12)}`;
  const { workflow } = chom.temporal;
  const result = await worker.runUntil(async () => {
    const handle: WorkflowHandle = await workflow.start('runSchedule', { workflowId, taskQueue, args: [run] });
    return (await handle.result()) as ScheduleResult;
  });
  const made = historyFromJSON(JSON.parse(historyToJSON(await workflow.getHandle(workflowId).fetchHistory())));
  await Worker.runReplayHistory({ workflowBundle, dataConverter }, made, workflowId);
  return { rounds, told, result };
}

describe('a run of a schedule', () => {
  test('asks minute by minute for what falls due, without a gap, until its window is over', async () => {
    const { rounds, told, result } = await played(10, () => ({ asked: 2 }));
    expect(rounds[0]).toMatchObject({ work: 'back-up-sites', windowMilliseconds: 10 * MINUTE, after: -1, waiting: [] });
    expect(rounds.slice(1).map(({ after }) => after)).toEqual(rounds.slice(0, -1).map(({ upTo }) => upTo));
    expect(rounds.at(-1)?.upTo).toBeGreaterThanOrEqual(10 * MINUTE);
    expect(rounds.length).toBeLessThanOrEqual(12);
    expect(new Set(rounds.map(({ run }) => run)).size).toBe(1);
    expect(result).toEqual({ asked: 2 * rounds.length, refused: [], left: [] });
    expect(told).toEqual([]);
  });

  test('without a window it is one round', async () => {
    const { rounds, result } = await played(0, () => ({ asked: 7 }));
    expect(rounds).toHaveLength(1);
    expect(result.asked).toBe(7);
  });

  test('what has to wait is asked for again, and told of when it is given up after eight hours', async () => {
    const upTo = 8 * 60 * MINUTE - 2.5 * MINUTE;
    const state = { since: (await chom.now()) - upTo, upTo, waiting: ['site'], asked: 3, refused: [] };
    const { rounds, told, result } = await played(0, () => ({ waiting: ['site'] }), state);
    expect(rounds.length).toBeGreaterThanOrEqual(3);
    expect(rounds.every(({ waiting }) => waiting[0] === 'site')).toBe(true);
    expect(rounds.at(-1)?.upTo).toBeGreaterThan(8 * 60 * MINUTE);
    expect(result).toEqual({ asked: 3, refused: [], left: ['site'] });
    expect(told).toEqual([expect.objectContaining({ work: 'back-up-sites', refused: [], left: ['site'] })]);
  });

  test('what could not be asked for is told of', async () => {
    const refused = [{ tenant: 'default', what: 'example.org', reason: 'there are several storages' }];
    const { told, result } = await played(0, () => ({ refused }));
    expect(result).toEqual({ asked: 0, refused, left: [] });
    expect(told).toEqual([expect.objectContaining({ refused, left: [] })]);
  });

  test('a round that an inventory which is away fails is made again, with what it was to ask for', async () => {
    const { rounds, result } = await played(3, (_, n) => {
      if (n === 2 || n === 3) throw failure('InventoryUnavailable', 'away');
      return { asked: 1 };
    });
    expect(rounds.slice(1, 4).map(({ after }) => after)).toEqual(Array.from({ length: 3 }, () => rounds[0]?.upTo));
    expect(result).toMatchObject({ refused: [], left: [] });
  });

  test('one that fails otherwise fails the run', async () => {
    await expect(
      played(0, () => {
        throw failure('Forbidden', 'a key is missing');
      }),
    ).rejects.toThrow('Workflow execution failed');
  });
});
