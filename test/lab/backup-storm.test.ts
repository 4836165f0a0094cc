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
import * as restores from '../../src/inventory/restores.js';
import * as sites from '../../src/inventory/sites.js';
import { slowFile, whileLocked } from './backup-site.js';
import { ask } from './on-host.js';
import { startRig, type Rig } from './rig.js';
import { eventsOf, killAll, operationOf, stepsDone } from './storm.js';
import { type Listed, storedBackups } from './stored-backups.js';

const SHOP = 'shop.lab.test';
const BLOG = 'blog.lab.test';

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
  for (const domain of [SHOP, BLOG]) {
    await rig.chom.must('site', 'create', domain, '--server', 'web1', '--no-tls', ...php);
    await web1.exec(
      `mariadb ${await stored.idOf(domain)} -e 'CREATE TABLE held (id INT); INSERT INTO held VALUES (1)'`,
    );
  }
  // So that its repository is there, in which nothing may be left.
  await rig.chom.must('backup', 'create', SHOP);
});
afterAll(async () => {
  await rig?.down();
  await rm(files, { recursive: true, force: true });
});

const create = async (domain = SHOP) => operationOf(await rig.chom('backup', 'create', domain, '--detach', '--json'));
const ofOperation = ({ tags }: Listed, operation: string) => tags.includes(`operation=${operation}`);
const serves = async () => (await rig.fetch(SHOP, { address: web1.address, https: false })).body;

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

/** Content, owner and mode of all of a site's files, and its rows. */
async function contentOf(domain = SHOP): Promise<string> {
  const id = await stored.idOf(domain);
  const { exit, stdout, stderr } =
    await web1.exec(`cd /srv/chom/${id} && find app shared -printf '%p %y %m %U:%G %l\\n' | sort &&
    find app shared -type f -exec sha256sum {} + | sort -k 2 && mariadb-dump --skip-dump-date --order-by-primary ${id}`);
  if (exit !== 0) throw new Error(stderr);
  return stdout;
}

/** Both halves of the site say so. */
async function becomes(version: number): Promise<void> {
  const id = await stored.idOf(SHOP);
  const { exit, stderr } = await web1.exec(
    `echo ${version} >/srv/chom/${id}/app/version && chown ${id}: /srv/chom/${id}/app/version && mariadb ${id} -e 'UPDATE held SET id = ${version}'`,
  );
  if (exit !== 0) throw new Error(stderr);
}

/** What restores keep beside the site, until their undo windows end. */
const beside = async () =>
  (await web1.exec(`ls -A /srv/chom/${await stored.idOf(SHOP)} | grep '^.restore' | sort`)).stdout;

describe('a restore', () => {
  let backup: string;
  let wanted: string;
  beforeAll(async () => {
    await becomes(1);
    wanted = await contentOf();
    const { json } = await rig.chom.must('backup', 'create', SHOP, '--json');
    backup = (json as unknown as { backup: { id: string } }).backup.id;
  });

  const restore = async () => {
    await becomes(2);
    return operationOf(await rig.chom('backup', 'restore', backup, '--detach', '--json'));
  };
  /** It has ended, well, and the site is what the backup is of. */
  async function expectRestored(operation: string): Promise<void> {
    const { db } = rig.inventory;
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual(['RestoreStarted', 'RestoreCompleted']);
    expect(await places.find(db, operation)).toBeNull();
    expect(await sites.byDomain(db, SHOP)).toMatchObject({ status: 'active' });
    const { safety } = await restores.byOperation(db, operation);
    expect(await backups.byId(db, safety ?? '')).toMatchObject({ state: 'completed', tag: 'pre-restore' });
    await rig.replayed(operation);
  }

  /** What a backup of the other site is, on record and where it lies. */
  async function came(operation: string): Promise<unknown> {
    const { db } = rig.inventory;
    const row = await backups.ofOperation(db, operation);
    const snapshots = await backups.snapshotsOf(db, row?.id ?? '');
    const { kind, state, tag, bytes, files: count, reason } = row ?? {};
    const lying = (await stored.snapshots(BLOG)).filter((one) => ofOperation(one, operation)).map(({ id }) => id);
    // Made once: what lies there is what is on record.
    expect(lying.toSorted()).toEqual(snapshots.map(({ id }) => id).toSorted());
    // Of the manifest, which holds times, the length may differ.
    const held = snapshots
      .filter(({ role }) => role !== 'manifest')
      .map((one) => `${one.role} ${one.bytes} ${one.files}`);
    return { kind, state, tag, count, reason, held, isLarge: (bytes ?? 0) > 0 };
  }

  // Side by side, for what takes the time is that Temporal notices each death.
  test('[CH-01/create-backup] [CH-01/restore-backup] each ends as an uninterrupted one would, with the worker killed after every step', async () => {
    const { db } = rig.inventory;
    const before = await contentOf(BLOG);
    const calm = { restored: await restore(), backedUp: await create(BLOG) };
    for (const operation of Object.values(calm)) await rig.chom.must('op', 'watch', operation);
    const untouched = await came(calm.backedUp);
    const made = await killAll(rig, calm, async (name) => (name === 'restored' ? await restore() : await create(BLOG)));
    for (const { operation } of made.filter(({ name }) => name === 'backedUp')) {
      expect(await operations.byId(db, operation)).toMatchObject({
        outcome: 'succeeded',
        warnings: [],
        committed: true,
      });
      expect(await eventsOf(rig, operation)).toEqual(['BackupCreated', 'BackupCompleted']);
      expect(await places.find(db, operation)).toBeNull();
      expect(await came(operation)).toEqual(untouched);
      await rig.replayed(operation);
    }
    expect(await contentOf(BLOG)).toBe(before);
    const restored = [
      calm.restored,
      ...made.filter(({ name }) => name === 'restored').map(({ operation }) => operation),
    ];
    for (const operation of restored) await expectRestored(operation);
    expect(await contentOf()).toBe(wanted);
    expect(await serves()).toBe('shop');
    // Of each what it replaced, and nothing else.
    expect((await beside()).trim().split('\n')).toHaveLength(restored.length);
    for (const domain of [SHOP, BLOG]) await stored.nothingLeft(web1, domain);
  }, 900_000);

  test.each(['importDatabase', 'switchTo'])('[CH-03/restore-backup] goes on over a reboot behind %s', async (step) => {
    await rig.killWorker();
    const operation = await restore();
    const changed = await contentOf();
    await rig.startWorker();
    await isDone(operation, step);
    await rig.killWorker();
    await web1.reboot();
    await rig.startWorker();
    await rig.chom.must('op', 'watch', operation);
    await expectRestored(operation);
    expect(await contentOf()).toBe(wanted);
    expect(await serves()).toBe('shop');
    // What lies beside it is known again after the boot as well.
    await rig.chom.must('backup', 'undo-restore', operation);
    expect(await contentOf()).toBe(changed);
  });

  test('[CH-03/restore-backup] goes on over a cut cable', async () => {
    const losses = async () => (await rig.workerLog()).split('"connection lost"').length - 1;
    const cut = await restore();
    await isDone(cut, 'readManifest');
    const before = await losses();
    await web1.cut();
    await poll('the loss is noticed', 120_000, async () => (await losses()) > before);
    await web1.mend();
    await rig.chom.must('op', 'watch', cut);
    await expectRestored(cut);
    expect(await contentOf()).toBe(wanted);
    expect(await serves()).toBe('shop');
  });

  test.each(['importDatabase', 'switchTo'])('that is cancelled after %s is taken back', async (step) => {
    const { db } = rig.inventory;
    const kept = await beside();
    await rig.killWorker();
    const operation = await restore();
    const before = await contentOf();
    await rig.startWorker();
    await isDone(operation, step);
    await rig.killWorker();
    await rig.chom('op', 'cancel', operation);
    await rig.startWorker();
    await rig.chom('op', 'watch', operation);
    const { outcome, warnings } = await operations.byId(db, operation);
    expect({ outcome, warnings }).toEqual({ outcome: 'cancelled', warnings: [] });
    expect(await contentOf()).toBe(before);
    expect(await beside()).toBe(kept);
    expect(await sites.byDomain(db, SHOP)).toMatchObject({ status: 'active' });
    expect(await serves()).toBe('shop');
    await stored.nothingLeft(web1, SHOP);
  });
});
