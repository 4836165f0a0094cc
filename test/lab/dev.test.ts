import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { freePort } from '../../lab/ports.js';
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

async function listens(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
