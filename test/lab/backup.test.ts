import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as servers from '../../src/inventory/servers.js';
import type { Progress } from '../../src/workflows/progress.js';
import { waitsOf } from '../workflows/timers.js';
import { whileLocked } from './backup-site.js';
import type { Document, Ran } from './rig-command.js';
import { startRig, type Rig } from './rig.js';
import { type Told, toldOf } from './told.js';
import { storedBackups } from './stored-backups.js';

const BLOG = 'blog.lab.test';
const SHOP = 'shop.lab.test';
const AWAY = 'away.lab.test';
const FULL = 'full.lab.test';

let rig: Rig;
let told: Told;
let wordpress: WordpressServer;
let web1: LabHost;
let web2: LabHost;
let web3: LabHost;
let files: string;
let stored: ReturnType<typeof storedBackups>;
beforeAll(async () => {
  wordpress = await serveWordpress();
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'app', 'uploads'), { recursive: true });
  await writeFile(join(files, 'app', 'index.php'), '<?php echo "shop";');
  await writeFile(join(files, 'app', 'uploads', 'photo'), Buffer.alloc(300_000, 'photo'));
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  rig = await startRig({
    hosts: [{ name: 'web1' }, { name: 'web2' }, { name: 'web3' }, { name: 'store1', store: true }],
    environment: { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 },
  });
  stored = storedBackups(rig);
  [web1, web2, web3] = [rig.lab.host('web1'), rig.lab.host('web2'), rig.lab.host('web3')];
  await rig.startWorker();
  told = await toldOf(rig);
  const all = [web1, web2, web3, rig.lab.store.host];
  await Promise.all(all.map(async (host) => await rig.enrol(host, '--smtp-relay', '127.0.0.1')));
  const { rest, caFile, restPath } = rig.lab.store;
  const where = ['--repository', rest, '--ca', caFile, '--maintain', `store1:${restPath}`];
  await rig.chom.must('storage', 'add', 'store', ...where);
  const admin = ['--type', 'wordpress', '--admin-email', 'admin@lab.test'];
  const php = ['--type', 'php', '--database', '--from', join(files, 'app')];
  await rig.chom.must('site', 'create', BLOG, '--server', 'web1', '--no-tls', ...admin);
  await rig.chom.must('site', 'create', SHOP, '--server', 'web1', '--no-tls', ...php);
  await rig.chom.must('site', 'create', AWAY, '--server', 'web2', '--no-tls', ...php);
  await rig.chom.must('site', 'create', FULL, '--server', 'web3', '--no-tls', ...php);
});
afterAll(async () => {
  await rig?.down();
  await told?.close();
  await wordpress?.close();
  await rm(files, { recursive: true, force: true });
});

const create = async (domain: string, ...words: string[]) =>
  await rig.chom('backup', 'create', domain, ...words, '--json');
const eventsOf = async (operation: string) =>
  (await events.list(rig.inventory.db, { operation })).map(({ type }) => type);

/** A backup as `--json` tells it. */
interface Shown {
  operation: string;
  backup: {
    id: string;
    kind: string;
    state: string;
    bytes: number;
    files: number;
    apartSeconds: number;
    manifestSha256: string;
    retentionDays: number | null;
    snapshots: { role: string; id: string }[];
  };
}

function made(ran: Ran): Shown {
  if (ran.exit !== 0) throw new Error(ran.stderr);
  return ran.json as unknown as Shown;
}

describe('a backup', () => {
  test('[CB-04/crash-consistent] [CB-01] [EV-01/BackupCreated] [EV-01/BackupCompleted] of everything is one, and opens with bare restic', async () => {
    const before = await stored.siteOf(web1, BLOG);
    const asked = await create(BLOG, '--detach');
    expect(asked.json).toMatchObject({ operation: expect.stringMatching(/^create-backup-/), status: 'running' });
    const operation = asked.json?.operation ?? '';
    expect((await rig.chom('op', 'watch', operation)).exit).toBe(0);
    const row = await backups.ofOperation(rig.inventory.db, operation);
    expect(row).toMatchObject({ state: 'completed', kind: 'full', tag: 'manual', reason: null });
    const { backup } = made(await rig.chom.must('backup', 'show', row?.id ?? '', '--json'));
    const ids = Object.fromEntries(backup.snapshots.map(({ role, id }) => [role, id])) as Record<string, string>;
    expect((await stored.snapshots(BLOG)).map(({ id }) => id).toSorted()).toEqual(Object.values(ids).toSorted());
    const site = await stored.idOf(BLOG);
    const listed = await stored.restic(BLOG, 'ls', ids['files'] ?? '');
    expect(listed).toContain(`/srv/chom/${site}/app/wp-config.php`);
    expect(listed).not.toContain(`/srv/chom/${site}/tmp`);
    const dumped = await stored.restic(BLOG, 'ls', '--json', ids['database'] ?? '');
    const [, path = ''] = /"type":"file","path":"([^"]+)"/.exec(dumped) ?? [];
    const dump = await stored.restic(BLOG, 'dump', ids['database'] ?? '', path);
    expect(dump).toContain('http://blog.lab.test');
    expect(dump.trimEnd()).toMatch(/-- Dump completed$/);
    expect(backup.bytes).toBeGreaterThan(1_000_000);
    expect(backup.files).toBeGreaterThan(100);
    expect(backup.manifestSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(backup.apartSeconds).toBeGreaterThanOrEqual(0);
    expect(await eventsOf(operation)).toEqual(['BackupCreated', 'BackupCompleted']);
    expect(await stored.siteOf(web1, BLOG)).toBe(before);
    await stored.nothingLeft(web1, BLOG);
    await rig.replayed(operation);
    const { stdout } = await rig.chom.must('backup', 'list', BLOG);
    expect(stdout).toMatch(new RegExp(`^${backup.id} .* full .* completed +never +manual$`, 'm'));
  });

  test('[CB-06] of the files alone, and [CB-07] of the database alone', async () => {
    const roles = async (kind: string) => {
      const { backup } = made(await create(SHOP, `--${kind}`));
      expect(backup).toMatchObject({ kind, state: 'completed' });
      return backup.snapshots.map(({ role }) => role).toSorted();
    };
    expect(await roles('files')).toEqual(['files', 'manifest']);
    expect(await roles('database')).toEqual(['database', 'manifest']);
  });

  test('[CB-09/caller] is kept for as long as whoever asks for it says', async () => {
    const { backup } = made(await create(SHOP, '--files', '--retention-days', '90'));
    expect(backup).toMatchObject({ retentionDays: 90 });
  });

  test('[CB-03/replays] is replayed from its history, and sealed there', async () => {
    const { operation } = made(await create(SHOP, '--tag', 'before-update'));
    const history = JSON.stringify(await rig.replayed(operation));
    const { db } = rig.inventory;
    const [repository] = await repositories.list(db, { site: await stored.idOf(SHOP) });
    if (!repository) throw new Error('no repository');
    expect(history).not.toContain(repositories.passwordOf(repository, rig.keyring).toString());
    expect(history).not.toContain('before-update');
  });
});

describe('a backup that fails', () => {
  test('[CB-05] [EV-01/BackupFailed] leaves nothing that is listed as good, and the site as it was', async () => {
    const site = await stored.idOf(SHOP);
    await web1.exec(
      `mariadb ${site} -e 'CREATE TABLE base (a INT); CREATE VIEW broken AS SELECT a FROM base; DROP TABLE base'`,
    );
    const [before, had] = [await stored.siteOf(web1, SHOP), await stored.snapshots(SHOP)];
    const ran = await create(SHOP);
    expect(ran.json?.error).toMatchObject({ type: 'DatabaseBroken', message: expect.stringContaining('broken') });
    const operation = ran.json?.operation ?? '';
    expect(await eventsOf(operation)).toEqual(['BackupCreated', 'BackupFailed', 'Alert']);
    expect(await backups.ofOperation(rig.inventory.db, operation)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/view .*broken is broken/),
    });
    expect((await rig.chom.must('backup', 'list', SHOP)).stdout).not.toContain('failed');
    expect(await stored.siteOf(web1, SHOP)).toBe(before);
    expect(await stored.snapshots(SHOP)).toEqual(had);
    expect((await rig.fetch(SHOP, { address: web1.address, https: false })).body).toBe('shop');
    await stored.nothingLeft(web1, SHOP);
    await web1.exec(`mariadb ${site} -e 'DROP VIEW broken'`);
  });

  test('[QC-08] is kept with its reason, retried alone or with all, and forgotten', async () => {
    const listed = async () =>
      ((await rig.chom.must('op', 'list', '--failed', '--json')).json as unknown as { operations: Document[] })
        .operations;
    const [failed, ...others] = await listed();
    expect(failed?.error).toMatchObject({ type: 'DatabaseBroken', message: expect.stringContaining('broken') });
    expect(others).toEqual([]);
    const id = failed?.operation ?? '';
    const retried = await rig.chom('op', 'retry', id, '--json');
    expect(retried).toMatchObject({ exit: 0, json: { status: 'succeeded' } });
    const again = retried.json?.operation ?? '';
    expect(again).not.toBe(id);
    expect(await backups.ofOperation(rig.inventory.db, again)).toMatchObject({ state: 'completed' });
    expect(await eventsOf(again)).toEqual(['BackupCreated', 'BackupCompleted']);
    // Whoever asks twice, or has all retried, has it done once.
    expect((await rig.chom('op', 'retry', id, '--json')).json?.operation).toBe(again);
    expect((await rig.chom.must('queue:retry', '--all')).stdout).toBe('Nothing to retry\n');
    await rig.chom.must('queue:forget', id);
    expect(await listed()).toEqual([]);
    expect((await rig.chom.must('op', 'show', id)).stdout).toContain('broken');
  });
});

// Each on a server of its own, for most of their time is waiting.
describe.concurrent('a backup that is tried again', () => {
  test('[FS-04] on a locked database is tried again 120 s later', { timeout: 900_000 }, async () => {
    const site = await stored.idOf(SHOP);
    await web1.exec(`mariadb ${site} -e 'CREATE TABLE IF NOT EXISTS held (a INT)'`);
    const { json } = await whileLocked(web1, site, 'LOCK TABLES held WRITE', async () => {
      const asked = await create(SHOP, '--database', '--detach');
      const handle = rig.temporal.workflow.getHandle(asked.json?.operation ?? '');
      await poll('the first attempt has failed', 400_000, async () => {
        const { steps } = await handle.query<Progress>('progress');
        return steps.some(({ state, message = '' }) => state === 'waiting' && message.includes('locked'));
      });
      return asked;
    });
    const operation = json?.operation ?? '';
    expect((await rig.chom('op', 'watch', operation)).exit).toBe(0);
    const history = await rig.replayed(operation);
    const waits = (history.events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
      timer ? [Number(timer.startToFireTimeout?.seconds)] : [],
    );
    expect(waits).toEqual([240, 120]);
    expect(await eventsOf(operation)).toEqual(expect.arrayContaining(['BackupCreated', 'BackupCompleted']));
  });

  test('[FS-02] on a server that is away has 3 attempts', { timeout: 900_000 }, async () => {
    await web2.cut();
    const ran = await create(AWAY);
    await web2.mend();
    expect(ran.json?.error).toMatchObject({ type: 'Unreachable' });
    const operation = ran.json?.operation ?? '';
    expect(await eventsOf(operation)).toEqual(expect.arrayContaining(['BackupFailed', 'Alert']));
    expect(
      (await backups.list(rig.inventory.db, { site: await stored.idOf(AWAY) })).filter(
        ({ state }) => state !== 'failed',
      ),
    ).toEqual([]);
    const timers = (await rig.replayed(operation)).events ?? [];
    const waits = timers.map((event) => Number(event.timerStartedEventAttributes?.startToFireTimeout?.seconds));
    expect(waits.filter((seconds) => seconds === 120)).toHaveLength(2);
  });

  test('[FS-01] on a full disk is tried 3 times, and leaves nothing half-written', { timeout: 900_000 }, async () => {
    made(await create(FULL));
    const had = await stored.snapshots(FULL);
    await web3.fill();
    const ran = await create(FULL);
    await web3.unfill();
    expect(ran.json?.error).toMatchObject({ type: 'DiskFull' });
    const operation = ran.json?.operation ?? '';
    // What is written about its end waits for room, too, and for shorter.
    const waits = waitsOf(await rig.replayed(operation), 240);
    expect(waits.filter((seconds) => seconds >= 60)).toEqual([120, 120]);
    expect(await eventsOf(operation)).toEqual(expect.arrayContaining(['BackupFailed', 'Alert']));
    expect(await stored.snapshots(FULL)).toEqual(had);
    await stored.nothingLeft(web3, FULL);
    expect((await rig.fetch(FULL, { address: web3.address, https: false })).body).toBe('shop');
    expect(made(await create(FULL))).toMatchObject({ backup: { state: 'completed' } });
  });
});

test('[CH-03/create-backup] goes on over a cut cable and a reboot in the middle', { timeout: 900_000 }, async () => {
  const site = await stored.idOf(AWAY);
  // Long enough to be met in the middle, and nothing to read from the disk.
  await web2.exec(`truncate -s 3G /srv/chom/${site}/app/large; chown ${site}: /srv/chom/${site}/app/large`);
  const started = async () => {
    const { json } = await create(AWAY, '--files', '--detach');
    await poll('restic reads', 120_000, async () => (await web2.exec('pgrep restic')).exit === 0);
    return json?.operation ?? '';
  };
  const losses = async () => (await rig.workerLog()).split('"connection lost"').length - 1;
  const cut = await started();
  const before = await losses();
  await web2.cut();
  await poll('the loss is noticed', 120_000, async () => (await losses()) > before);
  await web2.mend();
  expect((await rig.chom('op', 'watch', cut)).exit).toBe(0);
  const rebooted = await started();
  await web2.reboot();
  expect((await rig.chom('op', 'watch', rebooted)).exit).toBe(0);
  for (const operation of [cut, rebooted]) {
    expect(await operations.byId(rig.inventory.db, operation)).toMatchObject({ outcome: 'succeeded' });
    expect(await backups.ofOperation(rig.inventory.db, operation)).toMatchObject({ state: 'completed' });
  }
  await web2.exec(`rm /srv/chom/${site}/app/large`);
});

test('schedules back every site up once, and leave alone what is not due', { timeout: 600_000 }, async () => {
  await rig.chom.must('schedule', 'apply');
  expect((await rig.chom('schedule', 'diff')).exit).toBe(0);
  const { workflow } = (await rig.chom.must('schedule', 'run', 'back-up-sites', '--json')).json as unknown as {
    workflow: string;
  };
  expect(await rig.temporal.workflow.getHandle(workflow).result()).toEqual({ asked: 4, refused: [], left: [] });
  const nightly = async () => (await backups.list(rig.inventory.db, {})).filter(({ tag }) => tag === 'nightly');
  await poll('all are backed up', 300_000, async () => {
    return (await nightly()).filter(({ state }) => state === 'completed').length === 4;
  });
  expect((await nightly()).map(({ domain }) => domain).toSorted()).toEqual([AWAY, BLOG, FULL, SHOP]);
  // By Temporal's own schedules: no key is due yet, and CHOM itself is backed up.
  const triggered = async (name: string) => {
    const schedule = rig.temporal.schedule.getHandle(`chom-${name}`);
    const before = (await schedule.describe()).info.recentActions.length;
    await schedule.trigger();
    const run = await poll(`${name} has run`, 60_000, async () => {
      const taken = (await schedule.describe()).info.recentActions;
      return taken.length > before ? taken.at(-1)?.action.workflow.workflowId : undefined;
    });
    return (await rig.temporal.workflow.getHandle(run).result()) as object;
  };
  const ended = async (kind: string) =>
    await poll(`${kind} has ended`, 120_000, async () => {
      const [row] = await operations.list(rig.inventory.db, { kind });
      return row?.outcome ? row : undefined;
    });
  expect(await triggered('rotate-credentials')).toEqual({ asked: 0, refused: [], left: [] });
  expect(await triggered('back-up-control-plane')).toEqual({ asked: 1, refused: [], left: [] });
  expect(await ended('back-up-control-plane')).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(await readdir(join(rig.home, 'backups'))).toEqual([expect.stringMatching(/^control-plane-.*sealed$/)]);

  const old = new Date(Date.now() - 91 * 86_400_000).toISOString();
  const due = await servers.byName(rig.inventory.db, 'default', 'web1');
  await rig.inventory.transaction(async (trx) => {
    await trx.updateTable('credentials').set({ createdAt: old }).where('server', '=', due.id).execute();
  });
  const { json } = await rig.chom.must('schedule', 'run', 'rotate-credentials', '--json');
  const rotating = rig.temporal.workflow.getHandle(String(json?.['workflow']));
  expect(await rotating.result()).toEqual({ asked: 1, refused: [], left: [] });
  expect(await ended('rotate-credentials')).toMatchObject({ outcome: 'succeeded', server: due.id });
});

test('[EV-01/BackupCreated] [EV-01/BackupCompleted] [EV-01/BackupFailed] [EV-01/webhooks] a webhook was told of each once, in order', async () => {
  expect(await told.all()).toEqual(expect.arrayContaining(['BackupCreated', 'BackupCompleted', 'BackupFailed']));
});
