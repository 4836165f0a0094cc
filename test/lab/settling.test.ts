import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { holdPublishing } from './held.js';
import { hostTree } from './host-tree.js';
import { startRig, type Rig } from './rig.js';
import type { Running } from './rig-command.js';

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1);
});
afterAll(async () => await rig?.down());

const create = (domain: string, ...words: string[]) => ['site', 'create', domain, '--server', 'web1', ...words];
const byId = async (id: string) => await operations.byId(rig.inventory.db, id);
const terminate = async (id: string) => await rig.temporal.workflow.getHandle(id).terminate('a test');
const visit = async (domain: string) => (await rig.fetch(domain, { address: web1.address, https: false })).status;

/** Asks for a site and waits until it publishes it. */
async function publishing(domain: string, ...words: string[]): Promise<{ id: string; running: Running }> {
  const running = rig.chom.start(...create(domain, '--no-tls', '--json', ...words));
  await poll(`${domain} publishes`, 60_000, async () => running.said().stderr.includes('▶ Publish the site'));
  const [row] = await operations.list(rig.inventory.db, { state: 'running' });
  return { id: row?.id ?? '', running };
}

test('[CH-03/provision-site] a site is made though its server is cut off, and rebooted, in the middle', async () => {
  const cut = await holdPublishing(web1, async () => {
    const begun = await publishing('cut.lab.test');
    await web1.cut();
    return begun;
  });
  await web1.mend();
  expect((await cut.running.ended).exit).toBe(0);
  // The job ran on, and was followed on: no attempt was spent.
  expect((await byId(cut.id)).steps).toSatisfy((steps: { attempt: number }[]) =>
    steps.every(({ attempt }) => attempt === 1),
  );
  expect(await visit('cut.lab.test')).toBe(200);

  const rebooted = await holdPublishing(web1, async () => {
    const begun = await publishing('rebooted.lab.test');
    await web1.reboot();
    return begun;
  });
  expect((await rebooted.running.ended).exit).toBe(0);
  expect(await byId(rebooted.id)).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(await visit('rebooted.lab.test')).toBe(200);
  expect(await visit('cut.lab.test')).toBe(200);
  await rig.replayed(rebooted.id);
}, 480_000);

test('one whose workflow is terminated leaves the server as it was, and whoever waits goes on', async () => {
  const before = await hostTree(web1);
  const { id, running } = await holdPublishing(web1, async () => {
    const begun = await publishing('dead.lab.test');
    await terminate(begun.id);
    // Unless the sweep was first.
    await rig.chom('op', 'settle', begun.id);
    const settled = await rig.chom('op', 'watch', begun.id, '--json');
    expect(settled).toMatchObject({ exit: 1, json: { status: 'failed', error: { type: 'Interrupted' } } });
    return begun;
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

test('one that dies while its server is away keeps its place, and is settled when the server is back', async () => {
  const before = await hostTree(web1);
  const { id } = await holdPublishing(web1, async () => {
    const begun = await publishing('away.lab.test');
    await web1.cut();
    await terminate(begun.id);
    return begun;
  });
  expect((await rig.chom('op', 'settle', id, '--timeout', '20', '--json')).exit).toBe(124);
  expect(await places.find(rig.inventory.db, id)).toMatchObject({ state: 'running' });
  await web1.mend();
  expect((await rig.chom('op', 'watch', id, '--json')).json).toMatchObject({ status: 'failed' });
  expect(await hostTree(web1)).toEqual(before);
}, 480_000);

test('an installation that works on an old copy of the inventory is refused, until it adopts the server', async () => {
  const copy = join(rig.home, '..', `${rig.home.split('/').at(-1)}-copy`);
  await mkdir(copy, { mode: 0o700 });
  try {
    await cp(join(rig.home, 'keyring.json'), join(copy, 'keyring.json'));
    const original = new Database(join(rig.home, 'inventory.db'), { readonly: true });
    original.exec(`vacuum into '${join(copy, 'inventory.db')}'`);
    original.close();
    // The original goes on.
    await rig.enrol(web1);
    const other = rig.chom.within({ CHOM_HOME: copy, CHOM_TASK_QUEUE: 'copy' });
    const worker = other.start('worker');
    try {
      const login = ['--host', web1.address, '--key', web1.keyFile, '--host-key', web1.hostKey];
      const enrol = ['server', 'add', 'web1', ...login, '--json'];
      await poll('its worker serves', 60_000, async () => worker.said().stderr.includes('worker started'));
      const refused = await other(...enrol);
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
