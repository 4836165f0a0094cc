import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
import { openChom } from '../../src/client/open.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';
import { chomCommand, type Chom, type Running } from './rig-command.js';
import { plainEnvironment } from './rig.js';
import { visit } from './rig-visit.js';

let lab: Lab;
let home: string;
let chom: Chom;
const running = new Set<Running>();
beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'web1' }] });
  home = await mkdtemp(join(tmpdir(), 'chom-dev-'));
  // No setting of CHOM or Temporal at all: only where a user's files are, and programs that are got once.
  const user = { HOME: home, XDG_DATA_HOME: undefined, XDG_CACHE_HOME: dirname(cacheDirectory()) };
  chom = chomCommand({ ...plainEnvironment(), ...user }, (one) => running.add(one));
});
afterAll(async () => {
  await Promise.all([...running].map(async (one) => await one.stop()));
  await lab?.down();
  await rm(home, { recursive: true, force: true });
});

test('[QC-01] one command on an unconfigured machine is enough to serve a site', async () => {
  const [port, uiPort, codecPort] = [await freePort(), await freePort(), await freePort()];
  const ports = ['--port', `${port}`, '--ui-port', `${uiPort}`, '--codec-port', `${codecPort}`];
  const dev = chom.start('dev', ...ports);
  await poll('the worker serves', 120_000, async () => {
    if (dev.process.exitCode !== null) throw new Error(dev.said().stderr);
    return dev.said().stderr.includes('worker started');
  });
  const { stderr } = dev.said();
  for (const text of [`http://127.0.0.1:${uiPort}`, `TEMPORAL_ADDRESS=127.0.0.1:${port}`, 'chom server add']) {
    expect(stderr).toContain(text);
  }
  expect((await fetch(`http://127.0.0.1:${uiPort}/`)).status).toBe(200);
  const decode = await fetch(`http://127.0.0.1:${codecPort}/decode`, {
    ...{ method: 'POST', body: '{"payloads":[]}', headers: { origin: `http://127.0.0.1:${uiPort}` } },
  });
  expect(await decode.json()).toEqual({ payloads: [] });

  const taken = await chom('dev', ...ports);
  expect([taken.exit, taken.stderr]).toEqual([2, expect.stringContaining('in use') as string]);

  const here = chom.within({ TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
  const { address, keyFile, hostKey } = lab.host('web1');
  await here.must('server', 'add', 'web1', '--host', address, '--key', keyFile, '--host-key', hostKey);
  await here.must('site', 'create', 'dev.example', '--server', 'web1', '--no-tls');
  expect((await visit('dev.example', { address })).status).toBe(200);

  const environment = { CHOM_HOME: join(home, '.local', 'share', 'chom'), TEMPORAL_ADDRESS: `127.0.0.1:${port}` };
  await madeByAProgram(environment, address);
  await shownInTemporal(environment);

  const ended = await dev.stop('SIGINT');
  expect(ended.exit).toBe(0);
  for (const each of [port, uiPort, codecPort]) expect(await listens(each)).toBe(false);
  expect(await readdir(join(home, '.local', 'share', 'chom'))).toEqual(
    expect.arrayContaining(['inventory.db', 'keyring.json', 'temporal.db']),
  );
  // What it kept is there when it is started again.
  const { json } = await chom('site', 'show', 'dev.example', '--json');
  expect(json).toMatchObject({ site: { status: 'active' } });
});

/** What a program does that has CHOM among its dependencies. */
const PROGRAM = `
import { createSite, openChom, watch } from 'chom';
const chom = await openChom();
try {
  const { operation } = await createSite(chom, { domain: 'program.example', server: 'web1', tls: false });
  const { operation: ended, steps } = await watch(chom, operation);
  console.log(JSON.stringify({ operation, outcome: ended.outcome, last: steps.at(-1).label }));
} finally {
  await chom.close();
}`;

async function madeByAProgram(environment: NodeJS.ProcessEnv, address: string): Promise<void> {
  // A package finds itself by its name and its exports, as whoever depends on it does.
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const words = ['--input-type=module', '--eval', PROGRAM];
  const options = { cwd, env: { ...plainEnvironment(), ...environment } };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, words, options);
  expect(stderr).toBe('');
  const operation = expect.stringMatching(/^provision-site-/) as string;
  expect(JSON.parse(stdout)).toEqual({ operation, outcome: 'succeeded', last: 'Activate' });
  expect((await visit('program.example', { address })).status).toBe(200);
}

/** What a person sees and searches for in Temporal's UI. */
async function shownInTemporal(environment: Record<string, string>): Promise<void> {
  const opened = await openChom(environment);
  try {
    const { workflow, workflowService } = await opened.temporal();
    const attributes = { Tenant: 'default', Server: 'web1', Site: 'program.example', Operation: 'provision-site' };
    const query = Object.entries(attributes).map(([name, value]) => `${name} = '${value}'`);
    // Temporal writes what is searched a little later than what happens.
    const id = await poll('the operation is found', 60_000, async () => {
      for await (const { workflowId } of workflow.list({ query: query.join(' AND ') })) return workflowId;
      return undefined;
    });
    const handle = workflow.getHandle(id);
    const described = await handle.describe();
    expect(
      Object.fromEntries(described.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value])),
    ).toEqual(expect.objectContaining(attributes));
    expect(await described.staticSummary()).toBe('Provision program.example on web1');
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toMatch(/^- ✔ Check the request \([\d.]+ s\)$/m);
    expect(currentDetails).toMatch(/^- ✔ Activate \([\d.]+ s\)$/m);
    const { config } = await workflowService.describeNamespace({ namespace: 'default' });
    expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(30 * 24 * 3600);
  } finally {
    await opened.close();
  }
}

async function listens(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
