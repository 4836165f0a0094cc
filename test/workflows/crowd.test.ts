import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { submit } from '../../src/client/submit.js';
import * as operations from '../../src/inventory/operations.js';
import type { Operation } from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { activeServer } from '../inventory/records.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import { until } from './following.js';
import { plain, request } from './world.js';

const SERVERS = ['a', 'b', 'c', 'd'];
const ON_EACH = 125;
const SITES = 25;
const AT_ONCE = 4;
/** So many have ended when the inventory goes away: many are still to come. */
const BEFORE_AWAY = 350;
const KILLS = 4;
/** Decides when the workers are killed: CROWD_SEED repeats the moments of another run. */
const SEED = Number(process.env['CROWD_SEED'] ?? Date.now() % 1_000_000);
const PLAIN_LOW = 20;
const AGED_LOW = 10;
const EXCLUSIVE = 60;

let chom: WorkflowEnvironment;
const workers = new Set<ChildProcess>();
beforeAll(async () => {
  chom = await startEnvironment(inject('scriptedBundle'), 'real');
  // PostgreSQL gives the places of a server to one at a time by a lock on its row.
  await chom.inventory.transaction(async (trx) => {
    for (const server of SERVERS) await activeServer(trx, server);
  });
});
afterAll(async () => {
  await killWorkers();
  await chom.close();
});

async function startWorker(): Promise<void> {
  const child = fork(
    fileURLToPath(new URL('crowd-worker.ts', import.meta.url)),
    [chom.address, inject('scriptedBundle')],
    {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...chom.settings },
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

/**
 * One server's operations, one after the other, by their ids: among them two low ones, of which one seems to have waited
 * for eleven minutes, and one that wants the server alone.
 */
async function ask(server: string): Promise<string[]> {
  const asked: string[] = [];
  for (let n = 0; n < ON_EACH; n += 1) {
    const site = `s${server}${n % SITES}`;
    const steps = [plain('one'), plain('commit', { final: true, undo: false })];
    const common = { ...request(steps, null, 'issue-certificate'), server };
    const low = n === PLAIN_LOW || n === AGED_LOW;
    if (n === EXCLUSIVE) asked.push(await submit(chom, { ...common, exclusive: true }));
    else asked.push(await submit(chom, { ...common, site, ...(low && { priority: 'low' as const }) }));
    if (n === AGED_LOW) await age(asked[n] ?? '');
  }
  return asked;
}

async function age(root: string): Promise<void> {
  const since = new Date(Date.now() - 11 * 60_000).toISOString();
  await chom.inventory.transaction(async (trx) => {
    await trx.updateTable('places').set({ since }).where('root', '=', root).execute();
  });
}

/** Moments at which the workers are killed, the earliest first: after so many ends, and so many milliseconds. */
function moments(seed: number): { share: number; milliseconds: number }[] {
  let state = seed >>> 0;
  // A linear congruential generator (Numerical Recipes) is random enough to spread four moments.
  const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const all = Array.from({ length: KILLS }, () => ({
    share: Math.floor(random() * 330),
    milliseconds: random() * 500,
  }));
  return all.toSorted((one, other) => one.share - other.share);
}

const ended = async () => (await operations.list(chom.inventory.db, { state: 'ended', limit: 1000 })).length;
const time = (text: string | null) => Date.parse(text ?? '');

/** Whether another one of these was at work while it was. */
const beside = (one: Operation, all: readonly Operation[]) =>
  all.filter(
    (other) => other !== one && time(other.startedAt) < time(one.endedAt) && time(one.startedAt) < time(other.endedAt),
  );

test(
  'five hundred on four servers, all workers killed again and again, messages lost, the inventory away for longer than it is waited for',
  {
    timeout: 1_200_000,
  },
  async () => {
    process.stderr.write(`Workers are killed at the moments of a seed: CROWD_SEED=${SEED} repeats them\n`);
    const [, , ...asked] = await Promise.all([startWorker(), startWorker(), ...SERVERS.map(ask)]);
    for (const { share, milliseconds } of moments(SEED)) {
      await until(`${share} have ended`, async () => (await ended()) >= share, 300_000);
      await sleep(milliseconds);
      await killWorkers();
      await Promise.all([startWorker(), startWorker()]);
    }
    await until(`${BEFORE_AWAY} have ended`, async () => (await ended()) >= BEFORE_AWAY, 300_000);
    await lockInventory();
    await until('all have ended', async () => (await ended()) === SERVERS.length * ON_EACH, 600_000);
    const all = await operations.list(chom.inventory.db, { limit: 1000 });
    expect(all.filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
    expect(await places.list(chom.inventory.db)).toEqual([]);
    for (const [index, server] of SERVERS.entries()) {
      const here = all.filter((one) => one.server === server);
      const most = Math.max(...here.map((one) => beside(one, here).length));
      expect(most).toBeGreaterThan(0);
      const [alone] = here.filter(({ site }) => site === null);
      expect(beside(alone!, here)).toEqual([]);
      // Nobody who came later passes the one that wants the server alone, nor does that one pass who has aged.
      const nth = (n: number) => here.find(({ id }) => id === asked[index]?.[n]);
      const later = Array.from({ length: ON_EACH - EXCLUSIVE - 1 }, (_, n) => nth(EXCLUSIVE + 1 + n));
      const passed = later.filter((one) => time(one?.startedAt ?? '') < time(alone?.endedAt ?? ''));
      expect(passed).toEqual([]);
      expect(time(nth(AGED_LOW)?.endedAt ?? '')).toBeLessThanOrEqual(time(alone?.startedAt ?? ''));
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

/** As a process does that holds the database's lock, until a worker has lost patience with it. */
async function lockInventory(): Promise<void> {
  let away = false;
  for (const child of workers) child.on('message', (message) => (away ||= message === 'away'));
  const { home, databaseUrl } = chom.config;
  const unlock = databaseUrl === undefined ? lockFile(`${home}/inventory.db`) : await lockTable(databaseUrl);
  try {
    await until('a worker finds the inventory away', async () => away, 120_000);
  } finally {
    await unlock();
  }
}

function lockFile(file: string): () => Promise<void> {
  const database = new Database(file, { timeout: 60_000 });
  database.exec('begin exclusive');
  return async () => {
    database.exec('commit');
    database.close();
  };
}

async function lockTable(connectionString: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString });
  await client.connect();
  await client.query('begin; lock table operations in access exclusive mode');
  return async () => await client.end();
}
