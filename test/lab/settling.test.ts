import { randomUUID } from 'node:crypto';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import { settlingId } from '../../src/client/settle.js';
import { placeOf } from '../../src/host/job-unit.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import type { StepProgress } from '../../src/workflows/progress.js';
import type { OperationKind } from '../../src/workflows/step.js';
import { holdPublishing } from './held.js';
import { noteCommand } from '../client/noted-commands.js';
import { hostTree } from './host-tree.js';
import { startRig, type Rig } from './rig.js';
import type { Running } from './rig-command.js';

let rig: Rig;
let web1: LabHost;
let wordpress: WordpressServer;
beforeAll(async () => {
  wordpress = await serveWordpress();
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  const environment = { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 };
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true, environment });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  // Nobody sends mail here: without a relay each WordPress would say so.
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => {
  await rig?.down();
  await wordpress?.close();
});

const WORDPRESS = ['--type', 'wordpress', '--admin-email', 'mara@lab.test'];
const create = (domain: string, ...words: string[]) => ['site', 'create', domain, '--server', 'web1', ...words];
const byId = async (id: string) => await operations.byId(rig.inventory.db, id);
const terminate = async (id: string) => await rig.temporal.workflow.getHandle(id).terminate('a test');
const visit = async (domain: string) => (await rig.fetch(domain, { address: web1.address, https: false })).status;
const losses = async () => (await rig.workerLog()).split('"connection lost"').length - 1;

/** So many users of sites are connected to MariaDB. */
const CONNECTED =
  'mariadb -N -e "SELECT COUNT(DISTINCT user) FROM information_schema.processlist WHERE user REGEXP \'^s[a-z2-7]{9}$\'"';

/** A site that is being made: its operation, and the command that waits for it. */
interface Begun {
  id: string;
  running: Running;
}

/** Asks for a site and waits until its operation has begun the step. */
async function begun(domain: string, step: string, ...words: string[]): Promise<Begun> {
  const running = rig.chom.start(...create(domain, '--no-tls', '--json', ...words));
  await says(running, `▶ ${step}`);
  const { id: site } = await sites.byDomain(rig.inventory.db, domain);
  const [row] = await operations.list(rig.inventory.db, { site });
  return { id: row?.id ?? '', running };
}

async function says(running: Running, words: string): Promise<void> {
  await poll(`it says "${words}"`, 120_000, async () => running.said().stderr.includes(words));
}

/** Asks for a site and waits until its job on the host waits for its turn to publish it. */
async function publishing(domain: string, ...words: string[]): Promise<Begun> {
  const before = await waiters();
  const made = await begun(domain, 'Publish the site', ...words);
  await poll(`${domain} waits for nginx`, 60_000, async () => (await waiters()).length > before.length);
  return made;
}

/** The processes on the host that wait for the lock of a service. */
async function waiters(): Promise<string[]> {
  return (await web1.exec("pgrep -x -f 'flock -w 240 9'")).stdout.split('\n').filter(Boolean);
}

async function stepOf(id: string, label: string): Promise<StepProgress> {
  const step = ((await byId(id)).steps as StepProgress[]).find((one) => one.label === label);
  if (!step) throw new Error(`${id} has no step ${label}`);
  return step;
}

/** How an attempt of a step's job ended, as the host recorded it. */
async function endOf(id: string, label: string, part: string, attempt: number): Promise<string> {
  const [{ root, run }, { index }] = [await byId(id), await stepOf(id, label)];
  const claim = { controller: '', scope: '', root, epoch: 1 };
  const job = { claim, operation: id, step: `${index}/${part}`, attempt: `${run}/${attempt}` };
  return (await web1.exec(`cat ${placeOf(job).record}/exit`)).stdout.trim();
}

test('[CH-03/provision-site] a site is made though its server is cut off, and rebooted, in the middle', async () => {
  const cut = await holdPublishing(web1, async () => {
    const made = await publishing('cut.lab.test');
    const before = await losses();
    await web1.cut();
    await poll('the loss is noticed', 60_000, async () => (await losses()) > before);
    return made;
  });
  await web1.mend();
  expect((await cut.running.ended).exit).toBe(0);
  // The job ran on, and was followed on: no attempt was spent.
  expect((await byId(cut.id)).steps).toSatisfy((steps: { attempt: number }[]) =>
    steps.every(({ attempt }) => attempt === 1),
  );
  expect(await visit('cut.lab.test')).toBe(200);

  // What the site's own user connects for is held; a reboot forgets that.
  await web1.exec(`mariadb -e "SET GLOBAL init_connect = 'DO SLEEP(600)'"`);
  const [rebooted, blog] = await holdPublishing(web1, async () => {
    const both = await Promise.all([
      publishing('rebooted.lab.test'),
      begun('blog.lab.test', 'Install WordPress', ...WORDPRESS),
    ]);
    await poll('WordPress is being installed', 60_000, async () => (await web1.exec(CONNECTED)).stdout.includes('1'));
    await web1.reboot();
    return both;
  });
  for (const [domain, { id, running }] of [
    ['rebooted.lab.test', rebooted] as const,
    ['blog.lab.test', blog] as const,
  ]) {
    expect((await running.ended).exit).toBe(0);
    expect(await byId(id)).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(await visit(domain)).toBe(200);
    await rig.replayed(id);
  }
  expect(await stepOf(blog.id, 'Install WordPress')).toMatchObject({ state: 'done', attempt: 2 });
  expect(await visit('cut.lab.test')).toBe(200);
}, 480_000);

test('a step whose first attempt lost its server takes up what that has done meanwhile, or still does', async () => {
  // At this level nginx notes each reload.
  const log = '/var/log/nginx/reloads.log';
  await web1.exec(`sed -i 's,^error_log .*,error_log ${log} notice;,' /etc/nginx/nginx.conf; systemctl reload nginx`);
  await poll(
    'nginx notes it',
    60_000,
    async () => (await web1.exec(`grep 'start worker processes' ${log}`)).exit === 0,
  );
  const reloads = async () => Number((await web1.exec(`grep -c '(SIGHUP) received' ${log}`)).stdout);
  const before = await reloads();
  const [ended, lasting] = await holdPublishing(web1, async () => {
    await web1.exec('pkill -STOP -x mariadbd');
    const one = await begun('returned.lab.test', 'Create the database', ...WORDPRESS);
    await poll('its job asks MariaDB', 60_000, async () => (await web1.exec('pgrep -x mariadb')).exit === 0);
    const two = await publishing('lasting.lab.test');
    const first = await waiters();
    // Another worker finds nobody there, and that is the end of the attempt.
    await web1.cut();
    await rig.killWorker();
    await rig.startWorker();
    await says(one.running, 'Create the database — waiting');
    await says(two.running, 'Publish the site — waiting');
    await web1.exec('pkill -CONT -x mariadbd');
    await poll('its job has ended', 60_000, async () => (await web1.exec('pgrep -x mariadb')).exit !== 0);
    expect(await waiters()).toEqual(first);
    await web1.mend();
    await poll('the second attempt waits in its stead', 180_000, async () => {
      const now = await waiters();
      return now.length > 0 && !now.includes(first[0] ?? '');
    });
    return [one, two];
  });
  for (const [domain, { id, running }] of [
    ['returned.lab.test', ended] as const,
    ['lasting.lab.test', lasting] as const,
  ]) {
    expect((await running.ended).exit).toBe(0);
    expect(await byId(id)).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(await visit(domain)).toBe(200);
    await rig.replayed(id);
  }
  const ends = async (id: string, label: string, part: string) => [
    await endOf(id, label, part, 1),
    await endOf(id, label, part, 2),
  ];
  expect(await ends(ended.id, 'Create the database', 'create-database')).toEqual(['exited 0', 'already 0']);
  const [stopped, done] = await ends(lasting.id, 'Publish the site', 'publish');
  expect(stopped).toMatch(/^killed/);
  expect(done).toBe('exited 0');
  expect((await reloads()) - before).toBe(2);
}, 480_000);

test('one whose workflow is terminated leaves the server as it was, and whoever waits goes on', async () => {
  const before = await hostTree(web1);
  const { id, running } = await holdPublishing(web1, async () => {
    const made = await publishing('dead.lab.test');
    await terminate(made.id);
    // Unless the sweep was first.
    await rig.chom('op', 'settle', made.id);
    const settled = await rig.chom('op', 'watch', made.id, '--json');
    expect(settled).toMatchObject({ exit: 1, json: { status: 'failed', error: { type: 'Interrupted' } } });
    return made;
  });
  expect((await running.ended).exit).toBe(1);
  expect(await hostTree(web1)).toEqual(before);
  expect(await places.find(rig.inventory.db, id)).toBeNull();
  const emitted = await events.list(rig.inventory.db, { operation: id });
  expect(emitted.map(({ type }) => type)).toEqual(['SiteProvisioningFailed', 'Alert']);
  // Its name is free again.
  await rig.chom.must(...create('dead.lab.test', '--no-tls'));
  expect(await visit('dead.lab.test')).toBe(200);
});

test('one that is terminated, or cancelled, between its activation and the end of its certificate leaves a live site', async () => {
  for (const [domain, end] of [
    ['ended.lab.test', async (id: string) => await terminate(id)],
    ['cancelled.lab.test', async (id: string) => await rig.chom.must('op', 'cancel', id)],
  ] as const) {
    await rig.lab.acme.setAddress(domain, { a: [web1.address] });
    await rig.lab.acme.stop();
    const running = rig.chom.start(...create(domain, '--json'));
    await poll(`${domain} is live`, 60_000, async () => running.said().stderr.includes('▶ issue-certificate'));
    const [row] = await operations.list(rig.inventory.db, { kind: 'provision-site', state: 'running' });
    const id = row?.id ?? '';
    await end(id);
    if (domain === 'ended.lab.test') await rig.chom('op', 'settle', id);
    const { exit, json } = await running.ended;
    expect([domain, exit, json?.site?.status]).toEqual([domain, 0, 'active']);
    expect(json?.warnings?.join(' ')).toMatch(/after it had taken effect/);
    await rig.lab.acme.start();
    expect(await visit(domain)).toBe(200);
    await poll('its certificate has ended too', 60_000, async () => {
      const [child] = await operations.list(rig.inventory.db, { parent: id });
      return child?.outcome !== null;
    });
    await rig.chom.must('certificate', 'issue', domain);
  }
}, 480_000);

test('one that dies while its server is away, as its settling does, is settled when the server is back', async () => {
  const before = await hostTree(web1);
  const { id } = await holdPublishing(web1, async () => {
    const made = await publishing('away.lab.test');
    await web1.cut();
    await terminate(made.id);
    return made;
  });
  expect((await rig.chom('op', 'settle', id, '--timeout', '20', '--json')).exit).toBe(124);
  expect(await places.find(rig.inventory.db, id)).toMatchObject({ state: 'running' });
  // In the middle: it has taken the operation over, and waits for the server. The sweep starts another one.
  await poll('it has taken over', 60_000, async () => (await byId(id)).epoch === 2);
  await terminate(settlingId(id));
  await web1.mend();
  expect((await rig.chom('op', 'watch', id, '--json')).json).toMatchObject({ status: 'failed' });
  expect(await byId(id)).toMatchObject({ epoch: 3, failureType: 'Interrupted', warnings: [] });
  await rig.replayed(settlingId(id));
  expect(await hostTree(web1)).toEqual(before);
  expect(await places.find(rig.inventory.db, id)).toBeNull();
}, 480_000);

test('cancelled while it waits, cancelled when it is just granted, or reset at work, one leaves the server as it was', async () => {
  const before = await hostTree(web1);
  const idOf = async (kind: OperationKind) => {
    const waiting = async () => (await operations.list(rig.inventory.db, { kind, state: 'waiting' }))[0]?.id;
    return await poll(`${kind} waits`, 60_000, waiting);
  };
  const ids = await holdPublishing(web1, async () => {
    const { id: works, running } = await publishing('reset.lab.test');
    const login = ['--host', web1.address, '--key', web1.keyFile, '--host-key', web1.hostKey];
    const alone = rig.chom.start('server', 'add', 'web1', ...login, '--json');
    const first = await idOf('enrol-server');
    // Behind the one that wants the server for itself.
    const granted = rig.chom.start(...create('granted.lab.test', '--no-tls', '--json'));
    const second = await idOf('provision-site');
    await rig.chom.must('op', 'cancel', first);
    const place = async () => (await places.find(rig.inventory.db, second))?.state === 'running';
    await poll('the next one has its place', 60_000, place);
    await rig.temporal.workflow.getHandle(second).cancel();
    await Promise.all([alone.ended, granted.ended]);
    await reset(works);
    const again = rig.temporal.workflow.getHandle(works).result();
    await expect(again).rejects.toMatchObject({ cause: { type: 'Superseded' } });
    await rig.chom('op', 'settle', works);
    expect((await running.ended).exit).toBe(1);
    return [first, second, works];
  });
  const outcomes = await Promise.all(ids.map(async (id) => (await byId(id)).outcome));
  expect(outcomes).toEqual(['cancelled', 'cancelled', 'failed']);
  for (const id of [...ids.slice(0, 2), settlingId(ids[2] ?? '')]) await rig.replayed(id);
  expect(await hostTree(web1)).toEqual(before);
  // Nobody is left in line.
  await rig.chom.must(...create('reset.lab.test', '--no-tls'));
  expect(await visit('reset.lab.test')).toBe(200);
}, 480_000);

test('one whose server does not come back is abandoned: it ends, names what may be left there, and its place is free', async () => {
  const { id } = await holdPublishing(web1, async () => {
    const made = await publishing('given-up.lab.test');
    await web1.cut();
    await terminate(made.id);
    return made;
  });
  const words = ['op', 'settle', id, '--abandon'];
  expect((await rig.chom(...words)).exit).toBe(2);
  expect(await places.find(rig.inventory.db, id)).toMatchObject({ state: 'running' });
  // What failed is the operation, as the command says.
  expect((await rig.chom(...words, '--confirm', id)).exit).toBe(1);
  noteCommand([...words, '--confirm', id]);
  expect(await byId(id)).toMatchObject({
    ...{ outcome: 'failed', failureType: 'Interrupted' },
    warnings: expect.arrayContaining([expect.stringContaining('Not stopped on the server')]),
  });
  expect(await places.find(rig.inventory.db, id)).toBeNull();
  await web1.mend();
  await rig.replayed(settlingId(id));
}, 480_000);

/** As `temporal workflow reset` does: ends the run, and has another one go on from its first task. */
async function reset(id: string): Promise<void> {
  const { workflowService, workflow } = rig.temporal;
  const { run } = await byId(id);
  const { events: recorded } = await workflow.getHandle(id, run ?? '').fetchHistory();
  const done = recorded?.find((event) => event.workflowTaskCompletedEventAttributes)?.eventId;
  if (!run || !done) throw new Error(`${id} has not begun`);
  await workflowService.resetWorkflowExecution({
    namespace: rig.temporal.namespace,
    workflowExecution: { workflowId: id, runId: run },
    workflowTaskFinishEventId: done,
    reason: 'a test',
    requestId: randomUUID(),
  });
}

test('an installation that works on an old copy of the inventory is refused, until it adopts the server', async () => {
  const copy = join(rig.home, '..', `${rig.home.split('/').at(-1)}-copy`);
  await mkdir(copy, { mode: 0o700 });
  try {
    await cp(join(rig.home, 'keyring.json'), join(copy, 'keyring.json'));
    const original = new Database(join(rig.home, 'inventory.db'), { readonly: true });
    original.exec(`vacuum into '${join(copy, 'inventory.db')}'`);
    original.close();
    // The original goes on, for one operation; the copy comes no nearer to it with each of its own.
    await rig.enrol(web1);
    const other = rig.chom.within({ CHOM_HOME: copy, CHOM_TASK_QUEUE: 'copy' });
    const worker = other.start('worker');
    try {
      const login = ['--host', web1.address, '--key', web1.keyFile, '--host-key', web1.hostKey];
      const enrol = ['server', 'add', 'web1', ...login, '--json'];
      await poll('its worker serves', 60_000, async () => worker.said().stderr.includes('worker started'));
      let refused = await other(...enrol);
      for (let more = 0; more < 2; more += 1) {
        expect(refused).toMatchObject({ exit: 1, json: { error: { type: 'StaleClaim' } } });
        refused = await other(...enrol);
      }
      expect(refused).toMatchObject({ exit: 1, json: { error: { type: 'StaleClaim' } } });
      expect(refused.json?.error?.next).toContain('chom server adopt web1');
      expect((await other('server', 'adopt', 'web1', '--json')).exit).toBe(2);
      await other.must('server', 'adopt', 'web1', '--confirm', 'web1');
      await other.must(...enrol);
      // Now the original is the one that is behind.
      expect(await rig.chom(...enrol)).toMatchObject({ exit: 1, json: { error: { type: 'StaleClaim' } } });
      await rig.chom.must('server', 'adopt', 'web1', '--confirm', 'web1');
      await rig.chom.must(...enrol);
    } finally {
      await worker.stop();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}, 480_000);
