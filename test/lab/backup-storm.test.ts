import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { parseProgress, readProgress } from '../../src/host/backup-progress.js';
import * as backups from '../../src/inventory/backups.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import { alarm } from '../../src/inventory/repository-alarm.js';
import { slowFile, whileLocked } from './backup-site.js';
import { ask } from './on-host.js';
import { startRig, type Rig } from './rig.js';
import { eventsOf, killAll, operationOf, stepsDone } from './storm.js';
import { type Listed, storedBackups } from './stored-backups.js';

const SHOP = 'shop.lab.test';

let rig: Rig;
let web1: LabHost;
let stored: ReturnType<typeof storedBackups>;
let files: string;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'app'));
  await writeFile(join(files, 'app', 'index.php'), '<?php echo "shop";');
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'store1', store: true }] });
  web1 = rig.lab.host('web1');
  stored = storedBackups(rig);
  await rig.startWorker();
  const all = [web1, rig.lab.store.host];
  await Promise.all(all.map(async (host) => await rig.enrol(host, '--smtp-relay', '127.0.0.1')));
  const { rest, caFile, restPath } = rig.lab.store;
  const where = ['--repository', rest, '--ca', caFile, '--maintain', `store1:${restPath}`];
  await rig.chom.must('storage', 'add', 'store', ...where);
  const php = ['--type', 'php', '--database', '--from', join(files, 'app')];
  await rig.chom.must('site', 'create', SHOP, '--server', 'web1', '--no-tls', ...php);
  await web1.exec(`mariadb ${await stored.idOf(SHOP)} -e 'CREATE TABLE held (id INT); INSERT INTO held VALUES (1)'`);
});
afterAll(async () => {
  await rig?.down();
  await rm(files, { recursive: true, force: true });
});

const create = async () => operationOf(await rig.chom('backup', 'create', SHOP, '--detach', '--json'));
const ofOperation = ({ tags }: Listed, operation: string) => tags.includes(`operation=${operation}`);
const serves = async () => (await rig.fetch(SHOP, { address: web1.address, https: false })).body;

test('[CH-01/create-backup] ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const before = await stored.siteOf(web1, SHOP);
  const calm = await create();
  await rig.chom.must('op', 'watch', calm);
  const came = async (operation: string) => {
    const row = await backups.ofOperation(db, operation);
    const snapshots = await backups.snapshotsOf(db, row?.id ?? '');
    const { kind, state, tag, bytes, files: count, reason } = row ?? {};
    const lying = (await stored.snapshots(SHOP)).filter((one) => ofOperation(one, operation)).map(({ id }) => id);
    // Made once: what lies there is what is on record.
    expect(lying.toSorted()).toEqual(snapshots.map(({ id }) => id).toSorted());
    // Of the manifest, which holds times, the length may differ.
    const held = snapshots
      .filter(({ role }) => role !== 'manifest')
      .map((one) => `${one.role} ${one.bytes} ${one.files}`);
    return { kind, state, tag, count, reason, held, isLarge: (bytes ?? 0) > 0 };
  };
  const untouched = await came(calm);
  const made = await killAll(rig, { shop: calm }, create);
  for (const { operation } of made) {
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual(['BackupCreated', 'BackupCompleted']);
    expect(await places.find(db, operation)).toBeNull();
    expect(await came(operation)).toEqual(untouched);
    await rig.replayed(operation);
  }
  expect(await stored.siteOf(web1, SHOP)).toBe(before);
  await stored.nothingLeft(web1, SHOP);
}, 900_000);

/** Waits until Temporal has recorded that a step is done. */
const isDone = async (operation: string, step: string) =>
  await poll(`${step} is done`, 120_000, async () => (await stepsDone(rig, operation)).includes(step));
const isAt = async (operation: string, phase: string) =>
  await poll(`it is at ${phase}`, 120_000, async () => {
    return parseProgress(await ask(web1, readProgress(operation)))?.phase === phase;
  });

/** Where a backup is when it is cancelled. While its table is locked, the dump goes no further. */
const CANCELLED: {
  at: string;
  worker: 'killed' | 'alive';
  held: 'table' | 'files' | null;
  until(operation: string): Promise<unknown>;
  left: number;
}[] = [
  { at: 'before it has begun', worker: 'killed', held: null, until: async () => {}, left: 0 },
  {
    at: 'after its check',
    worker: 'killed',
    held: 'table',
    until: async (id) => await isDone(id, 'checkBackup'),
    left: 0,
  },
  {
    at: 'after its repository was made',
    worker: 'killed',
    held: 'table',
    until: async (id) => await isDone(id, 'prepareRepository'),
    left: 0,
  },
  {
    at: 'in the middle of the dump',
    worker: 'alive',
    held: 'table',
    until: async (id) => await isAt(id, 'database'),
    left: 0,
  },
  { at: 'among the files', worker: 'alive', held: 'files', until: async (id) => await isAt(id, 'files'), left: 1 },
];

describe('a backup that is cancelled', () => {
  test.each(CANCELLED)('$at leaves nothing that counts', async ({ worker, held, until, left }) => {
    const { db } = rig.inventory;
    const site = await stored.idOf(SHOP);
    const [before, had] = [await stored.siteOf(web1, SHOP), await stored.snapshots(SHOP)];
    if (held === 'files') await ask(web1, slowFile(site, 200));
    const cancelled = async () => {
      if (worker === 'killed') await rig.killWorker();
      const operation = await create();
      if (worker === 'killed' && held !== null) await rig.startWorker();
      await until(operation);
      if (worker === 'killed' && held !== null) await rig.killWorker();
      await rig.chom('op', 'cancel', operation);
      if (worker === 'killed') await rig.startWorker();
      await rig.chom('op', 'watch', operation);
      return operation;
    };
    const operation =
      held === 'table' ? await whileLocked(web1, site, 'LOCK TABLES held WRITE', cancelled) : await cancelled();
    if (held === 'files') await web1.exec(`rm /srv/chom/${site}/shared/slow`);
    expect(await operations.byId(db, operation)).toMatchObject({
      outcome: 'cancelled',
      warnings: [],
      committed: false,
    });
    expect(await places.find(db, operation)).toBeNull();
    expect((await backups.ofOperation(db, operation))?.state ?? 'failed').toBe('failed');
    expect((await rig.chom.must('backup', 'list', SHOP)).stdout).not.toMatch(/failed|creating/);
    const lying = await stored.snapshots(SHOP);
    const unrecorded = lying.filter(({ id }) => !had.some((one) => one.id === id));
    expect(unrecorded.filter((one) => ofOperation(one, operation))).toHaveLength(left);
    expect(unrecorded).toHaveLength(left);
    expect(await stored.siteOf(web1, SHOP)).toBe(before);
    expect(await serves()).toBe('shop');
    await stored.nothingLeft(web1, SHOP);
  });

  test('among the files leaves its dump, since nobody deletes there, and whoever reads the repository is told of it', async () => {
    const { db } = rig.inventory;
    const rows = await backups.list(db, { site: await stored.idOf(SHOP) });
    const records = await Promise.all(
      rows.map(async (row) => ({ ...row, snapshots: (await backups.snapshotsOf(db, row.id)).map(({ id }) => id) })),
    );
    const operationIn = ({ tags }: Listed) => tags.find((tag) => tag.startsWith('operation='))?.slice(10) ?? null;
    const found = (await stored.snapshots(SHOP)).map((one) => ({ ...one, operation: operationIn(one) }));
    const findings = alarm(records, found, { now: Date.now(), spare: new Set() });
    expect(findings).toEqual([
      expect.objectContaining({ what: 'unrecorded', stops: false, ids: [expect.any(String)] }),
    ]);
  });
});
