import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { sweep } from '../../src/client/sweep.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import { UNDO } from '../../src/workflows/plans.js';
import { holdPublishing } from './held.js';
import { hostTree } from './host-tree.js';
import { startRig, type Rig } from './rig.js';

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }] });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => await rig?.down());

const DOMAIN = 'left.lab.test';
const CREATE = ['site', 'create', DOMAIN, '--server', 'web1', '--type', 'php', '--no-tls', '--json'];

test('an operation whose server is away also while it goes back ends, and the server is as before once it is there', async () => {
  const before = await hostTree(web1);
  const { id, site } = await holdPublishing(web1, async () => {
    const running = rig.chom.start(...CREATE);
    await poll('its job waits for nginx', 120_000, async () => {
      return (await web1.exec("pgrep -x -f 'flock -w 240 9'")).exit === 0;
    });
    await web1.cut();
    // Another worker finds nobody there, which is the end of an attempt at once.
    await rig.killWorker();
    await rig.startWorker();
    const { exit, json } = await running.ended;
    expect([exit, json?.error?.type]).toEqual([1, 'Unreachable']);
    const { id: made } = await sites.byDomain(rig.inventory.db, DOMAIN);
    const [row] = await operations.list(rig.inventory.db, { site: made });
    return { id: row?.id ?? '', site: made };
  });
  const labels = ['Publish the site', 'Start PHP', 'Install the files', 'Create user and directories'];
  const { warnings } = await operations.byId(rig.inventory.db, id);
  expect(warnings.map((warning) => warning.split(': ').slice(0, 2).join(': '))).toEqual(
    labels.map((label) => `Not undone: ${label}`),
  );
  expect(await places.find(rig.inventory.db, id)).toBeNull();
  // What is left is said wherever one looks; its name is nobody's meanwhile.
  const [owed] = await obligations.ofOperation(rig.inventory.db, id);
  for (const words of [
    ['op', 'show', id],
    ['site', 'show', DOMAIN],
    ['server', 'show', 'web1'],
  ]) {
    expect((await rig.chom.must(...words)).stdout).toContain(`what ${id} left is taken back at ${owed?.due}`);
  }
  const refused = await rig.chom(...CREATE);
  expect(refused).toMatchObject({ exit: 1, json: { error: { type: 'Conflict' } } });
  expect(await hostTree(web1)).not.toEqual(before);

  await web1.mend();
  const leaving = await rig.chom('server', 'remove', 'web1', '--confirm', 'web1', '--json');
  expect(leaving.json?.error).toMatchObject({ type: 'Conflict', message: expect.stringContaining(site) });
  const tried = tries.tryId({ operation: id, name: UNDO }, 1);
  expect((await sweep(rig, Date.parse(owed?.due ?? ''))).tried).toEqual([tried]);
  const watched = await rig.chom('op', 'watch', tried, '--json');
  expect(watched).toMatchObject({ exit: 0, json: { status: 'succeeded', warnings: [] } });
  expect(await hostTree(web1)).toEqual(before);
  expect(await obligations.stillOpen(rig.inventory.db, { server: 'web1' })).toEqual([]);
  expect((await rig.chom.must('op', 'show', id)).stdout).not.toContain('taken back');
  await rig.replayed(id);
  await rig.replayed(tried);

  await rig.chom.must(...CREATE);
  expect((await sites.byDomain(rig.inventory.db, DOMAIN)).id).not.toBe(site);
  expect((await rig.fetch(DOMAIN, { address: web1.address, https: false })).status).toBe(200);
});
