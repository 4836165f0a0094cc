import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { submit } from '../../src/client/submit.js';
import * as operations from '../../src/inventory/operations.js';
import type { Operation } from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { plain, request } from './world.js';

const SERVERS = ['a', 'b', 'c', 'd'];
const ON_EACH = 125;
const SITES = 25;
const AT_ONCE = 4;

let chom: WorkflowEnvironment;
const workers = new Set<ChildProcess>();
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
});
afterAll(async () => {
  await killWorkers();
  await chom.close();
});

async function startWorker(): Promise<void> {
  const { home, taskQueue } = chom.config;
  const child = fork(
    fileURLToPath(new URL('crowd-worker.ts', import.meta.url)),
    [chom.address, inject('scriptedBundle')],
    {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, CHOM_HOME: home, CHOM_TASK_QUEUE: taskQueue },
    },
  );
  workers.add(child);
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', () => reject(new Error('the worker ended before it served')));
  });
}

async function killWorkers(): Promise<void> {
  const ended = [...workers].map(async (child) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exit;
  });
  workers.clear();
  await Promise.all(ended);
}

/** One server's operations, one after the other: among them a low one, and one that wants the server alone. */
async function ask(server: string): Promise<void> {
  for (let n = 0; n < ON_EACH; n += 1) {
    const site = `s${server}${n % SITES}`;
    const steps = [plain('one'), plain('commit', { final: true, undo: false })];
    const common = { ...request(steps, null, 'issue-certificate'), server };
    if (n === 60) await submit(chom, { ...common, exclusive: true });
    else await submit(chom, { ...common, site, ...(n === 10 && { priority: 'low' as const }) });
  }
}

const ended = async () => (await operations.list(chom.inventory.db, { state: 'ended', limit: 1000 })).length;
const time = (text: string | null) => Date.parse(text ?? '');

/** Whether another one of these was at work while it was. */
const beside = (one: Operation, all: readonly Operation[]) =>
  all.filter(
    (other) => other !== one && time(other.startedAt) < time(one.endedAt) && time(one.startedAt) < time(other.endedAt),
  );

test(
  'five hundred on four servers, all workers killed again and again, messages lost, the inventory locked for a while',
  {
    timeout: 1_200_000,
  },
  async () => {
    await Promise.all([startWorker(), startWorker(), ...SERVERS.map(ask)]);
    for (const share of [60, 180, 300]) {
      await until(`${share} have ended`, async () => (await ended()) >= share, 300_000);
      await killWorkers();
      await Promise.all([startWorker(), startWorker()]);
    }
    await lockInventory(8_000);
    await until('all have ended', async () => (await ended()) === SERVERS.length * ON_EACH, 600_000);
    const all = await operations.list(chom.inventory.db, { limit: 1000 });
    expect(all.filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
    expect(await places.list(chom.inventory.db)).toEqual([]);
    for (const server of SERVERS) {
      const here = all.filter((one) => one.server === server);
      const most = Math.max(...here.map((one) => beside(one, here).length));
      expect(most).toBeGreaterThan(0);
      const [alone] = here.filter(({ site }) => site === null);
      expect(beside(alone!, here)).toEqual([]);
      for (let n = 0; n < SITES; n += 1) {
        const onSite = here.filter(({ site }) => site === `s${server}${n}`).toReversed();
        const byStart = onSite.toSorted((a, b) => time(a.startedAt) - time(b.startedAt));
        // Each asked for with the same priority is served in the order of asking.
        const usual = (list: readonly Operation[]) => list.filter(({ priority }) => priority !== 'low');
        expect(usual(byStart).map(({ id }) => id)).toEqual(usual(onSite).map(({ id }) => id));
        expect(byStart.map(({ epoch }) => epoch)).toEqual(onSite.map((_, place) => place + 1));
        for (const one of onSite) expect(beside(one, onSite)).toEqual([]);
      }
      // Never above the bound: at the moment when one starts, so many others are at work.
      const crowd = here.map(
        ({ startedAt }) =>
          here.filter((one) => time(one.startedAt) <= time(startedAt) && time(one.endedAt) > time(startedAt)).length,
      );
      expect(Math.max(...crowd)).toBeLessThanOrEqual(AT_ONCE);
    }
  },
);

/** As a process does that holds the database's write lock. */
async function lockInventory(milliseconds: number): Promise<void> {
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(`${chom.config.home}/inventory.db`, { timeout: 60_000 });
  database.exec('begin exclusive');
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  database.exec('commit');
  database.close();
}
