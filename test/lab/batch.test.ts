import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { sh } from '../../src/host/shell.js';
import * as backups from '../../src/inventory/backups.js';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import * as operations from '../../src/inventory/operations.js';
import * as sites from '../../src/inventory/sites.js';
import { ask } from './on-host.js';
import { startRig, type Rig } from './rig.js';

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }] });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1);
  await ask(web1, sh`install -d -m 0700 /backups`);
  await rig.chom.must('storage', 'add', 'here', '--repository', '/backups');
});
afterAll(async () => await rig?.down());

const DOMAINS = ['a.lab.test', 'b.lab.test', 'c.lab.test'];

async function file(name: string, text: string): Promise<string> {
  const path = join(rig.home, `${name}.yaml`);
  await writeFile(path, text);
  return path;
}
const batchOf = async (name: string) => await batches.find(rig.inventory.db, 'default', name);
const itemsOf = async (name: string) => await batchItems.list(rig.inventory.db, (await batchOf(name)).id);

test('[JC-06] a batch makes sites on a real server, the first alone until somebody approves', async () => {
  const items = DOMAINS.map((domain) => {
    return `  - { verb: site.create, site: ${domain}, server: web1, options: { type: php, database: true, tls: false } }`;
  });
  const path = await file('sites', `name: sites\ncanary: 1\nconcurrency: 2\noperations:\n${items.join('\n')}\n`);
  const running = rig.chom.start('batch', 'run', path, '--json');
  await poll('it waits for approval', 180_000, async () => running.said().stderr.includes('chom batch approve sites'));
  expect((await itemsOf('sites')).map(({ state }) => state)).toEqual(['succeeded', 'pending', 'pending']);
  await rig.chom.must('batch', 'approve', 'sites');
  const ran = await running.ended;
  expect(ran.exit).toBe(0);
  expect(ran.json).toMatchObject({ name: 'sites', status: 'succeeded', total: 3, succeeded: 3 });
  for (const domain of DOMAINS) {
    expect((await rig.fetch(domain, { address: web1.address, https: false })).status).toBe(200);
  }
  await rig.replayed((await batchOf('sites')).id);
});

test('one whose worker is killed goes on, ends with 3 where one backup failed, and retries that alone', async () => {
  const { db } = rig.inventory;
  const broken = await sites.byDomain(db, 'b.lab.test');
  const sql = async (text: string) => await ask(web1, sh`mariadb ${broken.id} -e ${text}`);
  await sql('CREATE TABLE t (n INT); CREATE VIEW v AS SELECT n FROM t; DROP TABLE t');
  const path = await file(
    'backups',
    `name: backups
perServer: 1
operations:
  - { verb: backup.create, select: { server: web1, type: php }, options: { tag: fleet } }
finally: { verb: backup.verify, site: a.lab.test }
`,
  );
  const running = rig.chom.start('batch', 'run', path, '--json');
  await poll('the first backup is at work', 60_000, async () => {
    const batch = await batchOf('backups').catch(() => null);
    const row = batch && (await operations.find(db, `${batch.id}/1`));
    return row?.state === 'running';
  });
  await rig.killWorker();
  await rig.startWorker();
  const ran = await running.ended;
  expect(ran.exit).toBe(3);
  const { id } = await batchOf('backups');
  expect(ran.json).toMatchObject({
    ...{ status: 'partly', succeeded: 2, failed: 1 },
    notDone: [{ item: '2', target: 'b.lab.test', operation: `${id}/2`, status: 'failed' }],
  });
  expect(await operations.byId(db, `${id}/finally1`)).toMatchObject({ kind: 'verify-backup', outcome: 'succeeded' });

  await sql('DROP VIEW v');
  const again = await rig.chom('batch', 'retry', 'backups', '--only-failed', '--json');
  expect(again.exit).toBe(0);
  expect(again.json).toMatchObject({ status: 'succeeded', round: 2, succeeded: 3 });
  const made = await backups.list(db, { tenant: 'default', states: ['completed', 'verified'] });
  const ofSites = await Promise.all(made.map(async ({ site }) => (await sites.byId(db, site)).domain));
  expect(ofSites.toSorted()).toEqual(DOMAINS);
  await rig.replayed(id);
});
