import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { serveWordpress, type WordpressServer } from '../../lab/wordpress.js';
import { sweep } from '../../src/client/sweep.js';
import * as backups from '../../src/inventory/backups.js';
import * as events from '../../src/inventory/events.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as restores from '../../src/inventory/restores.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import { UNDO_WINDOW } from '../../src/workflows/restore-plan.js';
import type { Ran } from './rig-command.js';
import { startRig, type Rig } from './rig.js';
import { type Told, toldOf } from './told.js';

const BLOG = 'blog.lab.test';
const SHOP = 'shop.lab.test';
const OTHER = 'other.lab.test';
const LOST = 'lost.lab.test';

let rig: Rig;
let told: Told;
let wordpress: WordpressServer;
let web1: LabHost;
let web2: LabHost;
let files: string;

/** Says by which files and by which rows it is served. */
const PROGRAM = `<?php $site = basename(dirname(__DIR__)); $broken = trim(file_get_contents('broken'));
if ($broken !== '') { http_response_code(500); exit('broken'); }
try { $db = new mysqli('localhost', $site, '', $site); $rows = $db->query('SELECT name FROM version')->fetch_row()[0]; }
catch (Throwable $error) { $rows = 'none'; }
echo 'files ', trim(file_get_contents('version')), ', rows ', $rows;`;

beforeAll(async () => {
  wordpress = await serveWordpress();
  files = await mkdtemp(join(tmpdir(), 'chom-files-'));
  await mkdir(join(files, 'app', 'uploads'), { recursive: true });
  await writeFile(join(files, 'app', 'index.php'), PROGRAM);
  await writeFile(join(files, 'app', 'version'), 'one\n');
  await writeFile(join(files, 'app', 'broken'), '\n');
  await writeFile(join(files, 'app', 'uploads', 'photo'), Buffer.alloc(300_000, 'photo'));
  const { url: CHOM_WORDPRESS_URL, sha256: CHOM_WORDPRESS_SHA256 } = wordpress;
  rig = await startRig({
    hosts: [{ name: 'web1' }, { name: 'web2' }, { name: 'store1', store: true }],
    environment: { CHOM_WORDPRESS_URL, CHOM_WORDPRESS_SHA256 },
    acme: true,
  });
  [web1, web2] = [rig.lab.host('web1'), rig.lab.host('web2')];
  await rig.startWorker();
  told = await toldOf(rig);
  await Promise.all([web1, web2].map(async (host) => await rig.enrol(host, '--smtp-relay', '127.0.0.1')));
  const { sftp, host } = rig.lab.store;
  const added = await rig.chom.must('storage', 'add', 'box', '--repository', sftp, '--host-key', host.hostKey);
  await rig.lab.store.authorize(/ssh-ed25519 \S+/.exec(added.stderr)?.[0] ?? '');
  const admin = ['--type', 'wordpress', '--admin-email', 'admin@lab.test', '--title', 'A blog'];
  const php = ['--no-tls', '--type', 'php', '--database', '--from', join(files, 'app')];
  await rig.lab.acme.setAddress(BLOG, { a: [web1.address] });
  await Promise.all([
    rig.chom.must('site', 'create', BLOG, '--server', 'web1', ...admin),
    rig.chom.must('site', 'create', SHOP, '--server', 'web1', ...php),
    rig.chom.must('site', 'create', OTHER, '--server', 'web1', ...php),
    rig.chom.must('site', 'create', LOST, '--server', 'web2', ...php),
  ]);
  for (const [domain, on] of [
    [SHOP, web1],
    [OTHER, web1],
    [LOST, web2],
  ] as const) {
    await sql(on, domain, "CREATE TABLE version (name TEXT); INSERT INTO version VALUES ('one')");
  }
});
afterAll(async () => {
  await rig?.down();
  await told?.close();
  await wordpress?.close();
  await rm(files, { recursive: true, force: true });
});

const idOf = async (domain: string) => (await sites.byDomain(rig.inventory.db, domain)).id;
const eventsOf = async (operation: string) =>
  (await events.list(rig.inventory.db, { operation })).map(({ type }) => type);

async function run(host: LabHost, command: string): Promise<string> {
  const { exit, stdout, stderr } = await host.exec(command);
  if (exit !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}
const sql = async (host: LabHost, domain: string, text: string) =>
  await run(host, `mariadb -N ${await idOf(domain)} -e "${text}"`);
const write = async (host: LabHost, domain: string, name: string, text: string) =>
  await run(host, `printf '${text}\\n' >/srv/chom/${await idOf(domain)}/app/${name}`);

/** Both halves of a site say so. */
async function becomes(domain: string, version: string, host = web1): Promise<void> {
  await write(host, domain, 'version', version);
  await sql(host, domain, `UPDATE version SET name = '${version}'`);
}

async function page(domain: string, { address } = web1, https = false): Promise<string> {
  const { status, body } = await rig.fetch(domain, { address, https });
  return `${status} ${body}`;
}

interface Made {
  operation: string;
  backup: { id: string };
}
async function backUp(domain: string, ...words: string[]): Promise<string> {
  const { json } = await rig.chom.must('backup', 'create', domain, ...words, '--json');
  return (json as unknown as Made).backup.id;
}
const restore = async (...words: string[]): Promise<Ran> => await rig.chom('backup', 'restore', ...words, '--json');
function operationOf({ json, stderr }: Ran): string {
  if (json?.operation === undefined) throw new Error(stderr);
  return json.operation;
}

/** Content, owner and mode of all of its files, and its rows. */
async function stateOf(host: LabHost, domain: string): Promise<string> {
  const id = await idOf(domain);
  return await run(
    host,
    `cd /srv/chom/${id} && find app shared -printf '%p %y %m %U:%G %l\\n' | sort && find app shared -type f -exec sha256sum {} + | sort -k 2
    mariadb-dump --skip-dump-date --order-by-primary ${id} | grep -v _transient | grep -v "'cron'"`,
  );
}

/** Nothing of a restore lies on a host that is not the kept copy of one that can be undone. */
async function nothingBeside(host: LabHost, domain: string): Promise<void> {
  const id = await idOf(domain);
  const { stdout } =
    await host.exec(`ls -A /srv/chom/${id} | grep '^.restore'; ls /var/lib/chom/restores/${id} 2>/dev/null
    mariadb -N -e "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '${id}-%' UNION ALL SELECT User FROM mysql.global_priv WHERE User LIKE '${id}-%'"`);
  expect(stdout).toBe('');
}

/** Waits until an operation shows that step. */
async function reaches(operation: string, label: string): Promise<void> {
  await poll(`${operation} is at ${label}`, 240_000, async () => {
    const { steps } = await rig.temporal.workflow
      .getHandle(operation)
      .query<{ steps: { label: string }[] }>('progress');
    return steps.some((one) => one.label === label);
  });
}

describe('a restore', () => {
  test('[RB-03] [RB-01] brings files and database back as they were, whatever dies', async () => {
    const before = await stateOf(web1, BLOG);
    const backup = await backUp(BLOG);
    const id = await idOf(BLOG);
    await run(
      web1,
      `rm -rf /srv/chom/${id}/app/* && mariadb -N -e "SELECT CONCAT('DROP TABLE ', TABLE_NAME, ';') FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${id}'" | mariadb ${id}`,
    );
    expect(await page(BLOG, web1, true)).toMatch(/^(403|404) /);
    const asked = await restore(backup, '--detach');
    expect(asked).toMatchObject({ exit: 0, json: { status: 'running' } });
    const operation = operationOf(asked);
    for (const label of ['Import the database beside the site', 'Switch to what was restored']) {
      await reaches(operation, label);
      expect((await sites.byDomain(rig.inventory.db, BLOG)).status).toBe('restoring');
      await rig.killWorker();
      await rig.startWorker();
    }
    const { exit, stderr } = await rig.chom('op', 'watch', operation);
    expect({ exit, stderr: exit === 0 ? '' : stderr }).toEqual({ exit: 0, stderr: '' });
    expect(await page(BLOG, web1, true)).toMatch(/^200 [^]*A blog/);
    expect(await stateOf(web1, BLOG)).toBe(before);
    expect((await sites.byDomain(rig.inventory.db, BLOG)).status).toBe('active');
    expect(await eventsOf(operation)).toEqual(['RestoreStarted', 'RestoreCompleted']);
    const { safety } = await restores.byOperation(rig.inventory.db, operation);
    expect(await backups.byId(rig.inventory.db, safety ?? '')).toMatchObject({
      state: 'completed',
      tag: 'pre-restore',
    });
    await rig.replayed(operation);
  });

  test('is undone, and undone again; what is kept beside goes when the window ends', async () => {
    const backup = await backUp(SHOP);
    await becomes(SHOP, 'two');
    const operation = operationOf(await restore(backup));
    expect(await page(SHOP)).toBe('200 files one, rows one');
    const shown = await rig.chom.must('op', 'show', operation);
    expect(shown.stdout).toContain(`chom backup undo-restore ${operation}`);
    await becomes(SHOP, 'three');
    const undone = await rig.chom('backup', 'undo-restore', operation, '--json');
    expect(undone).toMatchObject({ exit: 0, json: { restore: { state: 'undone' } } });
    expect(await page(SHOP)).toBe('200 files two, rows two');
    // What was there until then was backed up before, and can be restored as any other.
    const [safety] = await backups.list(rig.inventory.db, { site: await idOf(SHOP) });
    expect(safety).toMatchObject({ tag: 'pre-restore', operation: `${operationOf(undone)}/safety` });
    const again = operationOf(await restore(safety?.id ?? ''));
    expect(await page(SHOP)).toBe('200 files three, rows three');
    const twice = await rig.chom('backup', 'undo-restore', operation, '--json');
    expect(twice.json?.error).toMatchObject({ type: 'Conflict', message: expect.stringContaining('undone already') });
    for (const one of [operation, again]) {
      const [owed] = await obligations.ofOperation(rig.inventory.db, one);
      // One that was undone is due at once: the worker's own sweep may have been first, with the same try.
      expect(owed?.name).toBe(UNDO_WINDOW);
      const tried = tries.tryId({ operation: one, name: UNDO_WINDOW }, 1);
      await sweep(rig, Date.parse(owed?.due ?? ''));
      expect(await rig.chom('op', 'watch', tried, '--json')).toMatchObject({ exit: 0, json: { warnings: [] } });
      await rig.replayed(tried);
    }
    await nothingBeside(web1, SHOP);
    expect(await page(SHOP)).toBe('200 files three, rows three');
    const late = await rig.chom('backup', 'undo-restore', again, '--json');
    expect(late.json?.error).toMatchObject({ type: 'Conflict', message: expect.stringContaining('is gone') });
    await rig.replayed(operationOf(undone));
  });

  test('[RB-06] whose site does not answer is taken back, and the site serves as before', async () => {
    await write(web1, OTHER, 'broken', 'yes');
    const backup = await backUp(OTHER);
    await write(web1, OTHER, 'broken', '');
    await becomes(OTHER, 'two');
    const before = await stateOf(web1, OTHER);
    const failed = await restore(backup);
    expect(failed).toMatchObject({ exit: 1, json: { error: { type: 'ProbeFailed' } } });
    expect(await page(OTHER)).toBe('200 files two, rows two');
    expect(await stateOf(web1, OTHER)).toBe(before);
    expect((await sites.byDomain(rig.inventory.db, OTHER)).status).toBe('active');
    await nothingBeside(web1, OTHER);
    expect(await eventsOf(operationOf(failed))).toEqual(['RestoreStarted', 'RestoreFailed', 'Alert']);
    await rig.replayed(operationOf(failed));
  });

  test('of files, of the database, of one path or into another site changes nothing else', async () => {
    await becomes(SHOP, 'one');
    await run(web1, `echo kept >/srv/chom/${await idOf(SHOP)}/app/uploads/photo`);
    const backup = await backUp(SHOP);
    await becomes(SHOP, 'two');
    expect((await restore(backup, '--files')).exit).toBe(0);
    expect(await page(SHOP)).toBe('200 files one, rows two');
    await write(web1, SHOP, 'version', 'three');
    expect((await restore(backup, '--database')).exit).toBe(0);
    expect(await page(SHOP)).toBe('200 files three, rows one');
    await run(web1, `rm -rf /srv/chom/${await idOf(SHOP)}/app/uploads`);
    const path = operationOf(await restore(backup, '--include', 'app/uploads'));
    expect(await page(SHOP)).toBe('200 files three, rows one');
    const photo = `cat /srv/chom/${await idOf(SHOP)}/app/uploads/photo`;
    expect(await run(web1, photo)).toBe('kept\n');
    expect((await rig.chom('backup', 'undo-restore', path)).exit).toBe(0);
    expect((await web1.exec(photo)).exit).not.toBe(0);
    expect((await restore(backup, '--to', OTHER)).exit).toBe(0);
    expect(await page(OTHER)).toBe('200 files one, rows one');
    expect(await page(SHOP)).toBe('200 files three, rows one');
    const [{ backup: id } = { backup: '' }] = await restores.list(rig.inventory.db, { site: await idOf(OTHER) });
    expect(id).toBe(backup);
  });

  test('[CB-04/maintenance] from a backup of a closed site is of one moment; visitors see that it is closed, and then the site', async () => {
    const before = await stateOf(web1, SHOP);
    const making = rig.chom.start('backup', 'create', SHOP, '--maintenance', '--json');
    const seen: number[] = [];
    while (making.process.exitCode === null)
      seen.push((await rig.fetch(SHOP, { address: web1.address, https: false })).status);
    const { exit, json } = await making.ended;
    expect({ exit, seen: [...new Set(seen)] }).toEqual({ exit: 0, seen: [200, 503] });
    expect(json).toMatchObject({ backup: { state: 'completed', apartSeconds: 0 } });
    expect(await page(SHOP)).toMatch(/^200 files/);
    expect(await stateOf(web1, SHOP)).toBe(before);
    await rig.replayed(operationOf(await making.ended));
  });

  test('[DR-01] of a site whose server is lost brings it back on another one', async () => {
    const backup = await backUp(LOST);
    await web2.cut();
    const gone = await rig.chom('server', 'remove', 'web2', '--gone', '--confirm', 'web2', '--json');
    expect({ exit: gone.exit, error: gone.json?.error ?? null }).toEqual({ exit: 0, error: null });
    const refused = await restore(backup);
    expect(refused).toMatchObject({
      exit: 5,
      json: { error: { type: 'NotFound', next: expect.stringContaining(`--to ${LOST}`) } },
    });
    await rig.chom.must('site', 'create', LOST, '--server', 'web1', '--no-tls', '--type', 'php', '--database');
    const restored = await restore(backup, '--to', LOST);
    expect({ exit: restored.exit, error: restored.json?.error ?? null }).toEqual({ exit: 0, error: null });
    expect(await page(LOST)).toBe('200 files one, rows one');
    const row = await operations.byId(rig.inventory.db, operationOf(restored));
    expect(row).toMatchObject({ outcome: 'succeeded', warnings: [] });
  });
});

test('[EV-01/RestoreStarted] [EV-01/RestoreCompleted] [EV-01/RestoreFailed] [EV-01/webhooks] a webhook was told of each once, in order', async () => {
  expect(await told.all()).toEqual(expect.arrayContaining(['RestoreStarted', 'RestoreCompleted', 'RestoreFailed']));
});
