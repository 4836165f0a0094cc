import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { listBuilds } from '../../src/client/deployment.js';
import { randomId, submit } from '../../src/client/submit.js';
import { tryOwed } from '../../src/client/tries.js';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import * as credentials from '../../src/inventory/credentials.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import { OLD_KEY } from '../../src/workflows/rotation-plan.js';
import { askBatch } from './batch-world.js';
import { AUTO_UPGRADE, bound, DEPLOYMENT, PINNED, promoted } from './builds.js';
import { bundled } from './bundled.js';
import { startEnvironment, type WorkflowEnvironment } from './environment.js';
import type { Word } from './fleet-worker.js';
import { until } from './following.js';
import { keyHost } from './key-host.js';

const OTHER = /nondeterminism|Nondeterminism|TMPRL1100/;

let chom: WorkflowEnvironment;
let directory: string;
let later: string;
const running = new Set<ChildProcess>();
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chom-upgrade-'));
  later = await bundled(new URL('later-fleet.ts', import.meta.url), join(directory, 'bundle.js'));
  chom = await startEnvironment(inject('workflowBundle'), 'real');
});
afterAll(async () => {
  for (const child of running) await ended(child, 'SIGKILL');
  await chom?.close();
  await rm(directory, { recursive: true, force: true });
});

/** Sends a signal, and waits for the process's end. Returns its exit status. */
async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill(signal);
  return await exit;
}

const row = async (id: string) => await operations.byId(chom.inventory.db, id);
const result = async (id: string) => await chom.temporal.workflow.getHandle(id).result();
const version = (buildId: string) => ({ deploymentName: DEPLOYMENT, buildId });
const stateOf = async (build: string) =>
  (await listBuilds(chom.temporal, DEPLOYMENT)).find((one) => one.build === build)?.state;

test('[RC-08/later-build] with a later build of the worker, promoted while a key is rotated: its build ends the rotation, and the later one removes the old key when its overlap is over', async () => {
  const host = await keyHost(chom, `srv-${randomId(6)}`);
  const { server } = host;
  const about = { tenant: 'default', server, serverName: server, summary: 'rotate', exclusive: true };
  const input = { server, tenant: 'default', name: server, emergency: false, overlapHours: 1 };
  const signals = { both: () => {}, release: () => {} };
  const both = new Promise<void>((resolve) => (signals.both = resolve));
  const released = new Promise<void>((resolve) => (signals.release = resolve));
  try {
    // Held as soon as both keys get in.
    host.trouble = async () => {
      if ((await host.takes()).length < 2) return;
      signals.both();
      await released;
    };
    const hold = async () => {
      await promoted(chom, '1');
      const rotation = await submit(chom, { kind: 'rotate-credentials', input, ...about });
      await both;
      await chom.withWorker(
        host.activities,
        async () => {
          await promoted(chom, '2');
          expect(await bound(chom, rotation)).toEqual(['1', PINNED]);
          expect((await row(rotation)).outcome).toBeNull();
          signals.release();
          await result(rotation);
        },
        later,
        version('2'),
      );
      return rotation;
    };
    const rotation = await chom.withWorker(host.activities, hold, undefined, version('1'));
    expect(await row(rotation)).toMatchObject({ outcome: 'succeeded', committed: true });
    expect(await bound(chom, rotation)).toEqual(['1', PINNED]);
    await chom.replayed(rotation);
    await expect(chom.replayed(rotation, later)).rejects.toThrow(OTHER);

    // From here on there is no worker of the first build.
    host.trouble = () => null;
    const current = (await credentials.current(chom.inventory.db, server, 'server-key'))?.id ?? '';
    const first = `server-key/${server}/first`;
    expect((await host.takes()).toSorted()).toEqual([current, first].toSorted());
    const key = { operation: rotation, name: OLD_KEY };
    const owed = await obligations.find(chom.inventory.db, key);
    expect(owed).toMatchObject({ state: 'open', targets: { old: first, by: current } });
    expect(await tryOwed(chom)).toEqual([]);
    await chom.inventory.transaction(async (trx) => await credentials.markBackedUp(trx, [current]));
    const [retirement = ''] = await tryOwed(chom, Date.parse(owed?.due ?? '') + 1000);
    await chom.withWorker(host.activities, async () => await result(retirement), later, version('2'));
    expect(await row(retirement)).toMatchObject({ kind: 'retire-credentials', outcome: 'succeeded', warnings: [] });
    expect(await bound(chom, retirement)).toEqual(['2', PINNED]);
    await chom.replayed(retirement, later);
    await expect(chom.replayed(retirement)).rejects.toThrow(OTHER);
    expect(await obligations.find(chom.inventory.db, key)).toMatchObject({ state: 'done' });
    expect(await host.takes()).toEqual([current]);
    expect(host.lockedOut).toEqual([]);
  } finally {
    signals.release();
    host.home.close();
  }
});

/** What the workers of a batch said. */
interface Said {
  begun: string[];
  done: { build: string; target: string }[];
  told: string[];
}

/** A worker of that build; see fleet-worker.ts. */
async function startWorker(build: string, bundle: string, said: Said, hold: readonly string[] = []) {
  const child = fork(
    fileURLToPath(new URL('fleet-worker.ts', import.meta.url)),
    [chom.address, bundle, build, ...hold],
    {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...chom.settings },
    },
  );
  running.add(child);
  await new Promise<void>((resolve, reject) => {
    child.on('message', (word: Word) => {
      if (word === 'started') return resolve();
      if (word.what === 'begun') said.begun.push(word.target);
      else if (word.what === 'done') said.done.push({ build, target: word.target });
      else said.told.push(word.what);
    });
    child.once('exit', () => reject(new Error('the worker ended before it served')));
  });
  return child;
}

test('[CB-03/later-build] with a later build of the worker, promoted in the middle of a batch: what runs ends with its own build, also after SIGTERM, the batch goes on with the later one, and each item is done once', async () => {
  const said: Said = { begun: [], done: [], told: [] };
  const items = Array.from({ length: 36 }, (_, n) => `web${n % 6}-${String(n).padStart(2, '0')}`);
  const [ownEnd, held] = [items.slice(12, 15), items.slice(15, 18)];
  const old = await startWorker('3', inject('scriptedBundle'), said, [...ownEnd, ...held]);
  await promoted(chom, '3');
  const batch = await askBatch(chom, { rules: { concurrency: 6 }, items });
  await until('a third is done, and six are held', () => said.done.length === 12 && said.begun.length === 18);
  expect(await bound(chom, batch)).toEqual(['3', AUTO_UPGRADE]);

  await startWorker('4', later, said);
  await promoted(chom, '4');
  for (const target of ownEnd) old.send(target);
  await until('all but those that are held are done', () => said.done.length === 33);
  expect(await bound(chom, batch)).toEqual(['4', AUTO_UPGRADE]);
  expect(await stateOf('3')).toBe('draining');

  // Its steps are given up, and nothing of them is lost: another worker of that build takes them up.
  expect(await ended(old, 'SIGTERM')).toBe(0);
  const rows = await batchItems.list(chom.inventory.db, batch);
  const operationOf = new Map(rows.map(({ target, operation }) => [target, operation ?? '']));
  for (const target of held) expect((await row(operationOf.get(target) ?? '')).outcome).toBeNull();
  await startWorker('3', inject('scriptedBundle'), said);
  await result(batch);

  expect(await batches.byId(chom.inventory.db, batch)).toMatchObject({ outcome: 'succeeded' });
  expect(said.done.map(({ target }) => target).toSorted()).toEqual(items.toSorted());
  for (const [n, target] of items.entries()) {
    const build = n < 18 ? '3' : '4';
    const operation = operationOf.get(target) ?? '';
    expect(said.done).toContainEqual({ build, target });
    expect(await bound(chom, operation)).toEqual([build, PINNED]);
    expect(await row(operation)).toMatchObject({ outcome: 'succeeded', epoch: 1, warnings: [] });
  }
  // It was begun by the build before, so the first of the later build's two words is none of its.
  expect(said.told).toEqual(['last']);
  await chom.replayed(batch, later);
  await expect(chom.replayed(batch, inject('scriptedBundle'))).rejects.toThrow(OTHER);
  const oldOperation = operationOf.get(held[0] ?? '') ?? '';
  await chom.replayed(oldOperation, inject('scriptedBundle'));
  await expect(chom.replayed(oldOperation, later)).rejects.toThrow(OTHER);
});
