import { spawn, type ChildProcess } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../lab/ports.js';
import { openStores } from '../../src/client/open.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { addSearchAttributes, startTemporal, type TemporalServer } from '../../src/client/temporal-server.js';
import { ended, startWorker } from '../../src/client/worker-process.js';
import { Keyring, type KeyringObject } from '../../src/inventory/keyring.js';
import { runChom, runHere } from '../client/command-line.js';

interface Check {
  state: string;
  message: string;
  cause: string | null;
  next: string | null;
}

let home: string;
let program: string;
let temporal: TemporalServer;
let environment: Record<string, string>;
const undo: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-test-'));
  undo.push(async () => await rm(home, { recursive: true, force: true }));
  program = await findProgram(temporalCli);
  const [port, uiPort] = [await freePort(), await freePort()];
  const [file, logFile] = [join(home, 'temporal.db'), join(home, 'temporal.log')];
  temporal = await startTemporal({ program, port, uiPort, file, logFile, synchronous: 'normal' });
  undo.push(temporal.stop);
  environment = await installation('own');
});
afterAll(async () => {
  for (const end of undo.toReversed()) await end();
});

/** A home of its own, with what the first command makes there. */
async function installation(name: string): Promise<Record<string, string>> {
  const own = join(home, name);
  const settings = { CHOM_HOME: own, TEMPORAL_ADDRESS: temporal.address, TEMPORAL_CONFIG_FILE: join(home, 'none') };
  const { inventory } = await openStores(settings);
  await inventory.close();
  return settings;
}

/** A worker of the product's; returns how to end it. */
async function working(settings: Record<string, string>): Promise<() => Promise<void>> {
  const worker = startWorker({ PATH: process.env['PATH'], ...settings, CHOM_LOG_LEVEL: 'error' });
  const end = async () => {
    worker.kill('SIGKILL');
    await ended(worker);
  };
  undo.push(end);
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('exit', (status) => reject(new Error(`the worker ended with ${status}`)));
  });
  // It has started before it asks for work.
  const found = async () => (await doctor(settings)).of('worker')?.message ?? '';
  await expect.poll(found).not.toContain('No worker takes operations');
  return end;
}

async function doctor(settings: Record<string, string>) {
  return read(await runHere(['doctor', '--json'], settings));
}

function read(ran: { status: number | null; stdout: string }) {
  const { checks } = JSON.parse(ran.stdout) as { checks: (Check & { name: string })[] };
  return { status: ran.status, of: (name: string) => checks.find((one) => one.name === name), checks };
}

const wrong = (message: string, next: string) => ({
  ...{ state: 'wrong', message: expect.stringContaining(message), next: expect.stringContaining(next) },
});

test('without a worker that is what is wrong; with one everything is right', async () => {
  const queue = { ...environment, CHOM_TASK_QUEUE: 'alone' };
  const before = await doctor(queue);
  expect(before).toMatchObject({ status: 1 });
  expect(before.of('worker')).toMatchObject(wrong('No worker takes operations from task queue alone', 'chom worker'));
  expect(before.checks.filter(({ state }) => state !== 'ok').map(({ name }) => name)).toEqual(['schedules', 'worker']);
  const end = await working(queue);
  const after = await doctor(queue);
  expect(after.checks.filter(({ state }) => state === 'wrong')).toEqual([]);
  expect(after).toMatchObject({ status: 0 });
  expect(after.of('schedules')).toMatchObject({ state: 'unknown', next: 'chom schedule apply' });
  expect(after.of('clock')).toMatchObject({ state: 'ok' });
  expect(after.of('priorities')).toMatchObject({ state: 'ok' });
  // What it started to find out is gone again.
  const connection = await Connection.connect({ address: temporal.address });
  await expect
    .poll(async () => {
      const { executions } = await connection.workflowService.listWorkflowExecutions({ namespace: 'default' });
      return executions?.length;
    })
    .toBe(0);
  await connection.close();
  await end();
});

test('a worker of another installation, and one that lacks a key', async () => {
  const queue = { ...environment, CHOM_TASK_QUEUE: 'shared' };
  const endOther = await working({ ...(await installation('other')), CHOM_TASK_QUEUE: 'shared' });
  expect((await doctor(queue)).of('worker')).toMatchObject(wrong('has another inventory', 'CHOM_TASK_QUEUE'));
  await endOther();

  const rotated = { ...environment, CHOM_TASK_QUEUE: 'rotated' };
  // A copy, on another machine: it would follow the file itself.
  const own = environment['CHOM_HOME'] ?? '';
  const [file, elsewhere] = [join(own, 'keyring.json'), join(home, 'elsewhere')];
  await mkdir(elsewhere, { mode: 0o700 });
  await copyFile(file, join(elsewhere, 'keyring.json'));
  await symlink(join(own, 'inventory.db'), join(elsewhere, 'inventory.db'));
  const end = await working({ ...rotated, CHOM_HOME: elsewhere });
  const kept = await readFile(file, 'utf8');
  const { keys } = Keyring.generate();
  const held = JSON.parse(kept) as KeyringObject;
  await writeFile(file, JSON.stringify({ ...held, keys: [...held.keys, ...keys] }));
  const found = await doctor(rotated);
  await writeFile(file, kept);
  expect(found.of('worker')).toMatchObject(wrong(`lacks keys that are held here: ${keys[0]?.id}`, 'start it again'));
  await end();
});

test('no Temporal, and one without the namespace', async () => {
  const silent = await doctor({ ...environment, TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` });
  expect(silent.of('temporal')).toMatchObject(wrong('Temporal does not answer at 127.0.0.1', 'chom dev'));
  expect(silent).toMatchObject({ status: 1 });
  const nowhere = await doctor({ ...environment, TEMPORAL_NAMESPACE: 'nowhere' });
  expect(nowhere.of('namespace')).toMatchObject(wrong('no namespace nowhere', 'namespace create'));
  expect(nowhere).toMatchObject({ status: 1 });
});

test('a Temporal that nobody has prepared for CHOM', async () => {
  const port = await freePort();
  const words = ['server', 'start-dev', '--headless', '--port', `${port}`, '--log-level', 'never'];
  const plain: ChildProcess = spawn(program, words, { stdio: 'ignore' });
  undo.push(async () => {
    plain.kill('SIGKILL');
    await ended(plain);
  });
  const address = `127.0.0.1:${port}`;
  const settings = { ...environment, TEMPORAL_ADDRESS: address };
  await expect.poll(async () => (await doctor(settings)).of('namespace')?.state, { timeout: 30_000 }).toBe('ok');
  const found = await doctor(settings);
  const create = 'search-attribute create --namespace default --name Tenant --type Keyword --name Server';
  expect(found.of('search-attributes')).toMatchObject(wrong('Tenant, Server, Site, Operation', create));
  expect(found.of('priorities')).toMatchObject(wrong('ignores priorities', 'matching.useNewMatcher'));
  const connection = await Connection.connect({ address });
  await addSearchAttributes(connection, 'default', ['Tenant', 'Server', 'Site']);
  await connection.close();
  await expect
    .poll(async () => (await doctor(settings)).of('search-attributes')?.message)
    .toBe('Namespace default has no search attribute Operation');
});

test('a clock that is ten minutes ahead', { timeout: 120_000 }, async () => {
  const shift = `globalThis.Date=class extends Date{constructor(...a){super(...(a.length?a:[Date.now()]))}static now(){return super.now()+600000}}`;
  const ahead = { ...environment, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shift)}` };
  const found = read(await runChom(['doctor', '--json'], ahead));
  expect(found.of('clock')).toMatchObject(wrong("s ahead of Temporal's", 'timedatectl'));
  // Less the time that asking takes.
  expect(found.of('clock')?.message).toMatch(/(9 min 5\d|10 min 00) s ahead/);
  expect(found).toMatchObject({ status: 1 });
});

// The last: its runs are workflows that the others would see.
test('schedules that are not in Temporal are told of until they are', async () => {
  const { status } = await runHere(['schedule', 'apply'], environment);
  expect(status).toBe(0);
  await expect.poll(async () => (await doctor(environment)).of('schedules')).toMatchObject({ state: 'ok' });
});
