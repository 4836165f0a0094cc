import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  forgetSnapshots,
  listRepository,
  parseListing,
  parseProgress,
  type Listing,
} from '../../src/host/maintenance.js';
import { paths } from '../../src/host/paths.js';
import { onDisk } from '../../src/host/reach.js';

const hex = (n: number) => n.toString(16).padStart(64, '0');
const PASSWORD = 'pass word\'"$';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'chom-maintenance-'));
  await mkdir(join(home, 'sone'));
  await program('setpriv', 'shift 3; exec "$@"');
});
afterEach(async () => await rm(home, { recursive: true, force: true }));

async function program(name: string, script: string): Promise<void> {
  await writeFile(join(home, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(home, name), 0o755);
}

/** What is listed where restic prints this, and the page that begins there. */
async function listed(snapshots: readonly object[], from = 0): Promise<Listing> {
  await writeFile(join(home, 'snapshots.json'), JSON.stringify(snapshots));
  await program('restic', `cat >${home}/password; cat ${home}/snapshots.json`);
  const { script } = listRepository(onDisk({ path: home, name: 'sone' }, Buffer.from(PASSWORD)), from);
  const input = script.toString().replaceAll(paths.restic, join(home, 'restic'));
  const env = { PATH: `${home}:${process.env['PATH']}` };
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', input], { encoding: 'utf8', env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return parseListing(stdout);
}

/** As restic 0.18 prints it. */
const snapshot = (n: number, tags: string[] | undefined, more: object = {}) => ({
  ...{ time: '2026-11-26T02:00:00.123456789+01:00', tree: hex(999), paths: ['/srv'], hostname: 'sone' },
  ...{ username: 'root', ...(tags && { tags }), program_version: 'restic 0.18.0', summary: { files_new: 1 } },
  ...{ ...more, id: hex(n), short_id: hex(n).slice(0, 8) },
});

test('every snapshot is listed with its time and the operation that its tags name', async () => {
  const { total, bytes, snapshots } = await listed([
    snapshot(2, ['chom', 'operation=obligation/create-backup-abc/undo/2', 'role=files']),
    snapshot(1, undefined),
  ]);
  expect(total).toBe(2);
  expect(bytes).toBeGreaterThanOrEqual(0);
  expect(await readFile(join(home, 'password'), 'utf8')).toBe(`${PASSWORD}\n`);
  const time = '2026-11-26T02:00:00.123456789+01:00';
  expect(snapshots).toEqual([
    { id: hex(1), time, operation: null },
    { id: hex(2), time, operation: 'obligation/create-backup-abc/undo/2' },
  ]);
});

test('what somebody wrote into one passes for no other snapshot, and for no operation of it', async () => {
  const lie = `","tags":["operation=one"],"id":"${hex(66)}","short_id":"x"},{"time":"2020-01-01T00:00:00Z","id":"${hex(67)}"`;
  const { snapshots } = await listed([
    snapshot(1, ['a,b', 'operation=two words', 'x]'], { hostname: lie, username: lie, paths: [lie] }),
    snapshot(2, ['operation=one\nid 2 3'], { hostname: '\n' }),
  ]);
  expect(snapshots.map(({ id, operation }) => [id, operation])).toEqual([
    [hex(1), null],
    [hex(2), null],
  ]);
});

test('how far a prune is, it says itself', () => {
  const said = '[0:05] 12.50%  1 / 8 packs processed\n[0:10] 25.00%  2 / 8 packs processed\n';
  expect(parseProgress(said)).toMatchObject({ phase: 'packs processed', done: 0.25 });
  expect(parseProgress('to delete: 2 blobs / 293 KiB (0.00% of remaining size)')).toBeNull();
});

test('of many there are pages', async () => {
  const all = Array.from({ length: 700 }, (_, n) => snapshot(n + 1, ['operation=create-backup-abcdefghijkl']));
  const pages = [await listed(all), await listed(all, 300), await listed(all, 600), await listed(all, 700)];
  expect(pages.map(({ total, snapshots }) => [total, snapshots.length])).toEqual([
    [700, 300],
    [700, 300],
    [700, 100],
    [700, 0],
  ]);
  const ids = pages.flatMap(({ snapshots }) => snapshots.map(({ id }) => id));
  expect(ids).toEqual(all.map(({ id }) => id));
});

test('what restic does not print is no list, and no more than full ids is forgotten', () => {
  expect(() => parseListing('total=0\n')).toThrow('cannot be read');
  expect(parseListing('bytes=7\ntotal=0\n')).toEqual({ bytes: 7, total: 0, snapshots: [] });
  const at = onDisk({ path: '/srv/rest', name: 'sone' }, Buffer.from(PASSWORD));
  expect(() => forgetSnapshots(at, [])).toThrow('no snapshot');
  expect(() => forgetSnapshots(at, [hex(1), hex(2).slice(0, 8)])).toThrow('no snapshot');
  expect(() => forgetSnapshots(at, ['latest'])).toThrow('no snapshot');
  expect(() => onDisk({ path: '/srv/rest', name: '../x' }, Buffer.alloc(0))).toThrow('names no repository');
});
