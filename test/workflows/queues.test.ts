import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import proto from '@temporalio/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { makeCertificate } from '../../lab/tls.js';
import { submit } from '../../src/client/submit.js';
import { startLost } from '../../src/client/sweep.js';
import { ended as exit, startWorker } from '../../src/client/worker-process.js';
import { startFollowing, until, type Following } from './following.js';
import { newSite, operationIn } from '../client/new-site-words.js';
import { startGate } from './gate.js';
import { startSilent } from './silent-server.js';

const { TIMEOUT_TYPE_HEARTBEAT } = proto.temporal.api.enums.v1.TimeoutType;

let following: Following;
beforeAll(async () => {
  following = await startFollowing();
});
afterEach(async () => await following.stopWorker());
afterAll(async () => await following?.close());

const row = async (id: string) => await operations.byId(following.chom.inventory.db, id);
const ended = async (id: string) => await until(`the end of ${id}`, async () => (await row(id)).outcome);
const asked = async (...words: string[]) => {
  const ran = await following.run(...words, '--json');
  expect(ran).toMatchObject({ status: 0 });
  return operationIn(ran.stdout);
};

test('[QC-07] what begins later is asked for at once, keeps nobody waiting, and begins then', async () => {
  await following.startWorker();
  const before = Date.now();
  const ran = await following.run(...newSite('later.example'), '--in', '4s', '--json');
  expect(ran).toMatchObject({ status: 0, stderr: expect.stringContaining('It begins at') });
  const { operation, status, startsAt } = JSON.parse(ran.stdout) as Record<string, string>;
  expect(status).toBe('delayed');
  expect(Date.parse(startsAt ?? '')).toBeGreaterThanOrEqual(before + 4000);
  const { db } = following.chom.inventory;
  expect(await places.find(db, operation ?? '')).toBeNull();
  expect((await following.run('op', 'list')).stdout).toContain(`delayed until ${startsAt}`);
  // Looked for by the sweep only once it is due: its workflow is there.
  const temporal = await following.chom.temporal();
  expect(await startLost({ ...following.chom, temporal }, Date.now() + 120_000)).toEqual([]);
  // An operation on the same server goes first.
  const other = await asked(...newSite('at-once.example'));
  expect((await row(other)).outcome).toBe('succeeded');
  expect(await ended(operation ?? '')).toBe('succeeded');
  expect(Date.parse((await row(operation ?? '')).startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(startsAt ?? ''));
});

test('[QC-07] one whose client died before it was started is started by the sweep; one is cancelled before its time', async () => {
  const { chom } = following;
  const temporal = await chom.temporal();
  const gone = async () => {
    throw new Error('gone');
  };
  const request = {
    ...({
      kind: 'provision-site',
      input: {},
      summary: 'lost',
      tenant: chom.tenant,
      server: null,
      serverName: '',
    } as const),
    startsAt: new Date(Date.now() + 3_600_000).toISOString(),
  };
  const dying = { ...chom, temporal: Object.assign(Object.create(temporal), { withDeadline: gone }) };
  await expect(submit(dying, request, 'provision-site-lost')).rejects.toThrow('gone');
  const sweeper = { ...chom, temporal };
  expect(await startLost(sweeper, Date.now() + 120_000)).toEqual([]);
  expect(await startLost(sweeper, Date.now() + 3_700_000)).toEqual(['provision-site-lost']);
  const handle = temporal.workflow.getHandle('provision-site-lost');
  expect((await handle.describe()).status.name).toBe('RUNNING');
  expect((await following.run('op', 'cancel', 'provision-site-lost')).status).toBe(0);
  expect(await row('provision-site-lost')).toMatchObject({ outcome: 'cancelled', startedAt: null });
});

test('[QC-04] only the workers of the task queue that it is asked for on take it, also when it is started anew', async () => {
  await following.startWorker();
  const ran = await following.run(...newSite('elsewhere.example', '--detach'), '--task-queue', 'elsewhere');
  const id = operationIn(ran.stdout);
  const temporal = await following.chom.temporal();
  const described = await temporal.workflow.getHandle(id).describe();
  expect(described.taskQueue).toBe('elsewhere');
  expect((await row(id)).taskQueue).toBe('elsewhere');
  // The other queue's worker is at work all the while.
  expect((await row(await asked(...newSite('here.example')))).outcome).toBe('succeeded');
  expect((await row(id)).state).toBe('asked');
  await following.stopWorker();
  await following.startWorker({ taskQueue: 'elsewhere' });
  expect(await ended(id)).toBe('succeeded');
});

test('[QC-06] of a backlog high goes before default, and default before low', async () => {
  const priorities = ['low', 'default', 'high'] as const;
  const ids: { id: string; priority: string }[] = [];
  for (let n = 0; n < 4; n += 1) {
    for (const priority of priorities) {
      const words = ['--detach', '--priority', priority];
      const server = `queue${ids.length}`;
      await following.addServer(server);
      const ran = await following.run('site', 'create', `${server}.example`, '--server', server, '--no-tls', ...words);
      ids.push({ id: operationIn(ran.stdout), priority });
    }
  }
  // One task at a time, so that what is taken first shows.
  await following.startWorker({ atOnce: 1 });
  for (const { id } of ids) await ended(id);
  const rows = await Promise.all(
    ids.map(async ({ id, priority }) => ({ priority, at: (await row(id)).startedAt ?? '' })),
  );
  const order = rows.toSorted((a, b) => a.at.localeCompare(b.at)).map(({ priority }) => priority);
  expect(order).toEqual([...priorities].toReversed().flatMap((priority) => [priority, priority, priority, priority]));
});

test('[QC-05] a profile says address, namespace, TLS and API key', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'chom-test-'));
  const { ca: pem, certificate: cert, privateKey: key } = await makeCertificate('temporal', '127.0.0.1');
  const { address } = await following.chom.temporal();
  const gate = await startGate(address, { key, cert, apiKey: 'letmein' });
  try {
    const ca = join(directory, 'ca.pem');
    await writeFile(ca, pem);
    const file = join(directory, 'temporal.toml');
    const profile = (name: string, apiKey: string, namespace = 'default') => `[profile.${name}]
address = "${gate.address}"
namespace = "${namespace}"
api_key = "${apiKey}"
[profile.${name}.tls]
server_ca_cert_path = "${ca}"
`;
    const all = [profile('prod', 'letmein'), profile('wrong', 'guessed'), profile('elsewhere', 'letmein', 'nowhere')];
    await writeFile(file, all.join('\n'));
    const settings = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_ADDRESS: '' };
    const within = async (name: string, ...words: string[]) => {
      const running = following.startWith(settings, ...words, '--profile', name);
      return { status: await running.ended, stdout: running.stdout, stderr: running.stderr };
    };
    const ran = await within('prod', ...newSite('profile.example', '--detach'));
    expect(ran).toMatchObject({ status: 0 });
    expect(gate.passed()).toBeGreaterThan(0);
    expect((await row(operationIn(ran.stdout))).cluster).toBe(gate.address);
    const temporal = await following.chom.temporal();
    expect((await temporal.workflow.getHandle(operationIn(ran.stdout)).describe()).status.name).toBe('RUNNING');
    expect((await within('wrong', ...newSite('wrong.example', '--detach'))).status).toBe(12);
    expect((await within('elsewhere', 'doctor')).stdout).toContain('has no namespace nowhere');
    expect(await within('none', 'doctor')).toMatchObject({ status: 1, stdout: expect.stringContaining('none') });
  } finally {
    await gate.close();
    await rm(directory, { recursive: true, force: true });
  }
});

test('[QC-09] a worker that dies is noticed when its heartbeats stay away, and another one takes its work over', async () => {
  const { chom, environment } = following;
  const silent = await startSilent();
  const settings = { PATH: process.env['PATH'], ...environment, CHOM_LOG_LEVEL: 'error', CHOM_TASK_QUEUE: 'dies' };
  const workers = [startWorker(settings)];
  try {
    const key = join(chom.config.home, 'id_ed25519');
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const where = ['--host', '127.0.0.1', '--port', `${silent.port}`, '--key', key];
    const words = ['server', 'add', 'silent', ...where, '--host-key', `SHA256:${'A'.repeat(43)}`, '--detach'];
    const ran = await following.run(...words, '--task-queue', 'dies', '--json');
    const { operation } = JSON.parse(ran.stdout) as { operation: string };
    const handle = (await chom.temporal()).workflow.getHandle(operation);
    const pending = async () => (await handle.describe()).raw.pendingActivities?.[0];
    await until('the first worker is at work', () => silent.connections() > 0);
    const first = await until('the worker has said so', async () => (await pending())?.lastWorkerIdentity);
    workers[0]?.kill('SIGKILL');
    workers.push(startWorker(settings));
    const taken = await until('another one takes over', async () => {
      const activity = await pending();
      return activity?.attempt === 2 && activity.lastWorkerIdentity !== first ? activity : undefined;
    });
    const { events } = await handle.fetchHistory();
    const scheduled = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes);
    const own = scheduled.find((attributes) => attributes?.activityId === taken.activityId);
    expect(own?.heartbeatTimeout?.seconds?.toString()).toBe('10');
    expect(taken.lastFailure?.timeoutFailureInfo?.timeoutType).toBe(TIMEOUT_TYPE_HEARTBEAT);
    // Of the operation's own attempts that was none.
    expect((await row(operation)).outcome).toBeNull();
    expect((await following.run('op', 'cancel', operation)).status).toBe(0);
    expect(await ended(operation)).toBe('cancelled');
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
    await Promise.all(workers.map(exit));
    silent.close();
  }
});
