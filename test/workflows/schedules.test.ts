import { afterAll, beforeAll, expect, test } from 'vitest';
import { openChom } from '../../src/client/open.js';
import type { KnownSchedule } from '../../src/client/schedules.js';
import { SCHEDULES } from '../../src/schedules.js';
import type { ScheduledRun } from '../../src/workflows/run-schedule.js';
import { startFollowing, until, type Following } from './following.js';

let following: Following;
beforeAll(async () => {
  following = await startFollowing();
});
afterAll(async () => await following?.close());

const listed = async (): Promise<Map<string, KnownSchedule>> => {
  const { schedules } = JSON.parse((await following.run('schedule', 'list', '--json')).stdout) as {
    schedules: KnownSchedule[];
  };
  return new Map(schedules.map((one) => [one.name, one]));
};
const described = async (name: string) => {
  const temporal = await following.chom.temporal();
  return await temporal.schedule.getHandle(`chom-${name}`).describe();
};

test('[SC-02] applying them twice changes nothing; what is paused stays paused, and what is not declared stays', async () => {
  const { run } = following;
  const [one = ''] = SCHEDULES.map(({ name }) => name);
  expect([...(await listed()).values()].every(({ state }) => state === 'missing')).toBe(true);
  expect((await run('schedule', 'diff')).status).toBe(1);
  const paused = await run('schedule', 'pause', one);
  expect(paused.status).toBe(5);
  expect(paused.stderr).toMatch(/next +chom schedule apply/);

  expect((await run('schedule', 'apply')).status).toBe(0);
  expect((await run('schedule', 'diff')).stdout).toBe('Temporal has them as they are declared\n');
  expect([...(await listed()).values()].map(({ name, state }) => ({ name, state }))).toEqual(
    SCHEDULES.map(({ name }) => ({ name, state: 'applied' })),
  );
  const before = await Promise.all(SCHEDULES.map(async ({ name }) => (await described(name)).raw.info?.updateTime));
  expect((await run('schedule', 'apply')).stdout).toBe('Nothing has changed\n');
  const after = await Promise.all(SCHEDULES.map(async ({ name }) => (await described(name)).raw.info?.updateTime));
  expect(after).toEqual(before);

  expect((await run('schedule', 'pause', one, '--note', 'the storage moves')).status).toBe(0);
  expect((await run('schedule', 'apply')).stdout).toBe('Nothing has changed\n');
  expect((await listed()).get(one)).toMatchObject({ paused: true, note: 'the storage moves' });
  // Their definition is another one now: each is changed, and the paused one still rests.
  const elsewhere = await openChom({ ...following.environment, CHOM_TIMEZONE: 'Europe/Berlin' });
  try {
    const { applySchedules } = await import('../../src/client/schedules.js');
    expect((await applySchedules(elsewhere)).map(({ state }) => state)).toEqual(SCHEDULES.map(() => 'differs'));
  } finally {
    await elsewhere.close();
  }
  expect((await listed()).get(one)).toMatchObject({ state: 'differs', paused: true, note: 'the storage moves' });
  expect((await run('schedule', 'apply')).stdout).toContain(`${one}: changed`);
  expect((await listed()).get(one)).toMatchObject({ state: 'applied', paused: true });
  expect((await run('schedule', 'resume', one)).status).toBe(0);
  expect((await listed()).get(one)).toMatchObject({ state: 'applied', paused: false });

  const temporal = await following.chom.temporal();
  const action = { type: 'startWorkflow', workflowType: 'runSchedule', taskQueue: 'chom', args: [] } as const;
  const spec = { intervals: [{ every: 86_400_000 }] };
  await temporal.schedule.create({ scheduleId: 'chom-old', spec, action });
  await temporal.schedule.create({ scheduleId: 'somebody-elses', spec, action });
  await until('the schedule is listed', async () => (await listed()).has('old'));
  expect((await run('schedule', 'apply')).stdout).toBe('old: not declared, and left as it is\n');
  expect((await run('schedule', 'apply', '--prune')).stdout).toBe('old: removed\n');
  await until('it is gone', async () => !(await listed()).has('old'));
  await temporal.schedule.getHandle('somebody-elses').describe();
  await temporal.schedule.getHandle('somebody-elses').delete();
});

test('each starts a run of its own with what is declared, on the queue of the workers', async () => {
  await following.run('schedule', 'apply');
  for (const { name, windowMinutes, catchUpMinutes } of SCHEDULES) {
    const { action, policies, info } = await described(name);
    const [run] = action.args as [ScheduledRun];
    expect(run).toMatchObject({ work: name, windowMinutes });
    expect(action).toMatchObject({ workflowType: 'runSchedule', taskQueue: following.chom.config.taskQueue });
    expect(policies).toMatchObject({ overlap: 'SKIP', catchupWindow: catchUpMinutes * 60_000 });
    expect(info.nextActionTimes.length).toBeGreaterThan(1);
  }
});

test('one is shown, run at once, and run for hours in which Temporal was away', async () => {
  const { run } = following;
  await run('schedule', 'apply');
  const shown = await run('schedule', 'show', 'back-up-sites');
  expect(shown).toMatchObject({ status: 0, stdout: expect.stringContaining('back-up-sites') });
  const { stdout, status } = await run('schedule', 'run', 'back-up-sites');
  expect(status).toBe(0);
  const temporal = await following.chom.temporal();
  expect(await temporal.workflow.getHandle(stdout.trim()).describe()).toMatchObject({ type: 'runSchedule' });

  const taken = async () => (await described('back-up-sites')).info.numActionsTaken;
  expect(await taken()).toBe(0);
  // In these six hours lies one night.
  const hours = ['--from', '2026-11-26T00:00Z', '--to', '2026-11-26T06:00Z'];
  expect(await run('schedule', 'backfill', 'back-up-sites', ...hours)).toMatchObject({ status: 0 });
  await until('it is run for that night', async () => (await taken()) === 1);
});

test('what is no schedule, and times that are none, are refused', async () => {
  const { run } = following;
  expect(await run('schedule', 'run', 'nightly')).toMatchObject({ status: 2 });
  const times = ['--from', '2026-11-26', '--to', '2026-11-27T00:00Z'];
  expect((await run('schedule', 'backfill', 'back-up-sites', ...times)).stderr).toContain('is no time');
  const turned = ['--from', '2026-11-27T00:00Z', '--to', '2026-11-26T00:00Z'];
  expect((await run('schedule', 'backfill', 'back-up-sites', ...turned)).status).toBe(2);
});
