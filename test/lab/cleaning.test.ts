import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { randomId } from '../../src/client/submit.js';
import * as backups from '../../src/inventory/backups.js';
import { ask } from '../../src/inventory/operations.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import { provision } from '../inventory/records.js';
import type { Ran } from './rig-command.js';
import { startRig, type Rig } from './rig.js';

const SHOP = 'shop.lab.test';
const EMPTY = 'empty.lab.test';
const BOX = '/srv/box';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'store1', store: true }] });
  const { store } = rig.lab;
  await rig.startWorker();
  await Promise.all([rig.lab.host('web1'), store.host].map(async (host) => await rig.enrol(host)));
  await rig.chom.must(
    ...['storage', 'add', 'store', '--repository', store.rest, '--ca', store.caFile],
    ...['--maintain', `store1:${store.restPath}`],
  );
  // Over SFTP each repository has an owner of its own.
  await rig.chom.must(
    ...['storage', 'add', 'box', '--repository', `sftp:${store.host.address}`, '--maintain', `store1:${BOX}`],
  );
  for (const domain of [SHOP, EMPTY]) await rig.chom.must('site', 'create', domain, '--server', 'web1', '--no-tls');
  for (const storage of ['store', 'box']) await rig.chom.must('backup', 'create', SHOP, '--storage', storage);
  await rig.chom.must('site', 'set', SHOP, ...keep(0, 1));
});
afterAll(async () => await rig?.down());

const keep = (within: number, daily: number) => [
  ...['--keep-within', `${within}`, '--keep-daily', `${daily}`, '--keep-weekly', '0', '--keep-monthly', '0'],
];
const idOf = async (domain: string) => (await sites.byDomain(rig.inventory.db, domain)).id;
const held = async (storage: string) => {
  const { db } = rig.inventory;
  const { id } = await storages.byName(db, 'default', storage);
  return await repositories.byId(db, repositories.repositoryId(id, shop));
};
let shop = '';
beforeAll(async () => {
  shop = await idOf(SHOP);
});

/** As whoever owns the files of the storage. */
async function restic(storage: 'store' | 'box', script: string): Promise<string> {
  const { host, restPath } = rig.lab.store;
  const path = `${storage === 'store' ? restPath : BOX}/${shop}`;
  const password = repositories.passwordOf(await held(storage), rig.keyring).toString();
  const { exit, stdout, stderr } = await host.exec(`cd /tmp && setpriv --reuid="$(stat -c %u ${path})" \
    --regid="$(stat -c %g ${path})" --clear-groups env RESTIC_PASSWORD='${password}' RESTIC_REPOSITORY='${path}' sh -ec '
    restic() { command restic --no-cache -q "$@"; }
    ${script}'`);
  if (exit !== 0) throw new Error(stderr);
  return stdout.trim();
}

const lying = async (storage: 'store' | 'box') =>
  (JSON.parse(await restic(storage, 'restic --no-lock snapshots --json')) as { id: string }[]).map(({ id }) => id);

interface Planted {
  id: string;
  snapshot: string;
}

/** Backups of so many hours ago, each of 100 kB that nothing else has, as create-backup would have recorded them. */
async function plant(
  storage: 'store' | 'box',
  hoursAgo: readonly number[],
  days: number | null = null,
): Promise<Planted[]> {
  const operations = hoursAgo.map(() => `create-backup-${randomId(12)}`);
  const made = hoursAgo.map((hours, n) => {
    const time = new Date(Date.now() - hours * HOUR).toISOString().slice(0, 19).replace('T', ' ');
    return `head -c 100000 /dev/urandom | restic backup --stdin --time "${time}" --tag chom,operation=${operations[n]},role=files`;
  });
  await restic(storage, made.join('\n'));
  const all = JSON.parse(await restic(storage, 'restic --no-lock snapshots --json')) as {
    id: string;
    tags?: string[];
  }[];
  const { id: repository } = await held(storage);
  const planted: Planted[] = [];
  for (const [n, operation] of operations.entries()) {
    const id = `b${randomId(9)}`;
    const snapshot = all.find(({ tags }) => tags?.includes(`operation=${operation}`))?.id ?? '';
    await rig.inventory.transaction(async (trx) => {
      const of = { operation, site: shop, repository, kind: 'full', tag: 'scheduled', retentionDays: days } as const;
      await backups.begin(trx, { id, ...of });
      await backups.addSnapshot(trx, {
        id: snapshot,
        backup: id,
        role: 'files',
        bytes: 100_000,
        newBytes: 100_000,
        files: 1,
      });
      const came = { bytes: 100_000, newBytes: 100_000, files: 1, manifestSha256: 'ab'.repeat(32), apartSeconds: null };
      await backups.finish(trx, id, { state: 'completed', ...came });
      const startedAt = new Date(Date.now() - (hoursAgo[n] ?? 0) * HOUR).toISOString();
      await trx.updateTable('backups').set({ startedAt }).where('id', '=', id).execute();
    });
    planted.push({ id, snapshot });
  }
  return planted;
}

const clean = async (...words: string[]) => await rig.chom('backup', 'clean', ...words, '--json');
const stateOf = async (id: string) => (await backups.byId(rig.inventory.db, id)).state;
const firstOf = ({ json }: Ran) => {
  const all = (json?.['cleaned'] ?? []) as { operation: string; error: { type: string; message: string } }[];
  return all[0];
};
const snapshotsOf = (planted: readonly Planted[]) => planted.map(({ snapshot }) => snapshot);

test('[CO-01] of a site that has no repository, or one with nothing in it to remove, it says so and ends well', async () => {
  const none = await rig.chom('backup', 'clean', EMPTY);
  expect({ exit: none.exit, stderr: none.stderr }).toEqual({
    exit: 0,
    stderr: `There are no backups of ${EMPTY}: nothing to clean\n`,
  });
  const nothing = await rig.chom('backup', 'clean', SHOP, '--force');
  expect({ exit: nothing.exit, stderr: nothing.stderr }).toEqual({ exit: 0, stderr: 'Nothing is to be removed\n' });
});

describe('over an append-only REST server', () => {
  let old: Planted[];
  let kept: Planted[];
  let foreign: string[];
  let before: string[];

  beforeAll(async () => {
    old = await plant('store', [2 * 24, 3 * 24, 10 * 24, 20 * 24, 30 * 24]);
    const [young, verified] = await plant('store', [5, 40 * 24]);
    kept = [young!, verified!, ...(await plant('store', [50 * 24], 400))];
    await rig.inventory.transaction(async (trx) => await backups.markVerified(trx, verified!.id));
    const known = await lying('store');
    const future = [1, 2, 3, 4, 5, 6, 7].map((n) => {
      const time = new Date(Date.now() + (n + 1) * DAY).toISOString().slice(0, 10);
      return `echo planted | restic backup --stdin --time "${time} 00:00:00"`;
    });
    await restic('store', future.join('\n'));
    before = (await lying('store')).toSorted();
    foreign = before.filter((id) => !known.includes(id));
  });

  test('[CO-04] --dry-run lists what goes and why the rest stays, and deletes nothing', async () => {
    const { exit, stdout } = await rig.chom('backup:clean', SHOP, '--storage', 'store', '--dry-run');
    expect(exit).toBe(0);
    for (const { id } of old)
      expect(stdout).toMatch(new RegExp(`^${id} .* remove +no day, week or month needs it$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${kept[0]!.id} .* keep +younger than 24 hours`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${kept[1]!.id} .* keep +last verified`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${kept[2]!.id} .* keep +asked to be kept for 400 days`, 'm'));
    expect((await lying('store')).toSorted()).toEqual(before);
  });

  test('[CO-06] without a terminal and without --force it refuses, and deletes nothing', async () => {
    const { exit, json } = await clean(SHOP);
    expect({ exit, type: json?.error?.type }).toEqual({ exit: 2, type: 'InvalidInput' });
    expect(json?.error?.next).toContain('--force');
    expect((await lying('store')).toSorted()).toEqual(before);
  });

  test('[CO-05] [CO-07] it removes exactly those, whose worker is killed meanwhile, and says what space that freed', async () => {
    const asked = await rig.chom.must('backup', 'clean', SHOP, '--storage', 'store', '--force', '--detach', '--json');
    const operation = firstOf(asked)?.operation ?? '';
    await poll('backups are being removed', 60_000, async () => (await stateOf(old[0]!.id)) !== 'completed');
    await rig.killWorker();
    // Waits in line, for the site is at work.
    const { json: next } = await rig.chom.must('backup', 'create', SHOP, '--storage', 'store', '--detach', '--json');
    await rig.startWorker();
    const watched = await rig.chom.must('op', 'watch', operation, '--json');
    expect(watched.json?.['warnings']).toEqual([
      expect.stringMatching(/^Snapshots dated in the future: .* and 2 more$/),
      expect.stringMatching(/^Snapshots that CHOM did not make: .* and 2 more$/),
    ]);
    await rig.chom.must('op', 'watch', next?.operation ?? '', '--json');
    for (const { id } of old) expect(await stateOf(id)).toBe('deleted');
    for (const { id } of kept) expect(await stateOf(id)).not.toBe('deleted');
    const left = await lying('store');
    expect(left).toEqual(expect.arrayContaining([...snapshotsOf(kept), ...foreign]));
    expect(before.filter((id) => !left.includes(id)).toSorted()).toEqual(snapshotsOf(old).toSorted());
    const [event] = await rig.inventory.db
      .selectFrom('events')
      .select('data')
      .where('operation', '=', operation)
      .where('type', '=', 'BackupsCleaned')
      .execute();
    const { removed, freed } = JSON.parse(event?.data ?? '{}') as { removed: string[]; freed: number };
    expect(removed.toSorted()).toEqual(old.map(({ id }) => id).toSorted());
    expect(freed).toBeGreaterThan(300_000);
    await restic('store', 'restic check');
    await rig.replayed(operation);
  });

  test('[CO-02] again there is nothing to remove', async () => {
    const { exit, json } = await clean(SHOP, '--storage', 'store', '--force');
    expect({ exit, dryRun: json?.['dryRun'] }).toEqual({ exit: 0, dryRun: false });
  });

  test('a backup that lost a snapshot stops it, until somebody has looked', async () => {
    const [spare] = await plant('store', [60 * 24]);
    await restic('store', `restic forget ${kept[2]!.snapshot}`);
    const stopped = await clean(SHOP, '--storage', 'store', '--force');
    expect(stopped.exit).toBe(1);
    const error = firstOf(stopped)?.error;
    expect(error?.type).toBe('RepositorySuspect');
    expect(error?.message).toContain(`no longer whole in the repository: ${kept[2]!.id}`);
    expect(await stateOf(spare!.id)).toBe('completed');
    const { stdout } = await rig.chom.must(
      ...['backup', 'clean', SHOP, '--storage', 'store', '--force', '--despite-findings'],
    );
    expect(stdout).toMatch(/^space freed +\d.* B|^space freed +\d/m);
    expect(await stateOf(spare!.id)).toBe('deleted');
  });
});

test('over SFTP it is done where the files lie, by their owner', async () => {
  const [one, two] = await plant('box', [20 * 24, 10 * 24]);
  const { json } = await rig.chom.must('backup', 'clean', '--storage', 'box', '--force', '--json');
  expect(json?.['cleaned']).toMatchObject([{ status: 'succeeded', site: SHOP, storage: 'box' }]);
  const left = await lying('box');
  expect(left).not.toContain(one!.snapshot);
  expect(left).not.toContain(two!.snapshot);
  const { id } = await storages.byName(rig.inventory.db, 'default', 'box');
  const odd = `find ${BOX}/${shop} ! -user ${id}-${shop}; ls ${BOX}/${shop}/locks`;
  expect((await rig.lab.store.host.exec(odd)).stdout).toBe('');
});

test('with the last backup of a deleted site its login to the storage goes, and to that storage alone', async () => {
  const loginsOf = async () =>
    (
      await rig.lab.store.host.exec(
        `grep -c '^${shop}:' ${rig.lab.store.restPath}/.htpasswd; ls /etc/chom/backup-keys | grep -c ${shop}`,
      )
    ).stdout;
  expect(await loginsOf()).toBe('1\n1\n');
  const { id: repository } = await held('box');
  const longAgo = (days: number) => new Date(Date.now() - days * DAY).toISOString();
  const site = async (values: { status: 'removed' | 'active'; deletedBy: string | null }, updatedAt: string) =>
    await rig.inventory.transaction(async (trx) => {
      await trx
        .updateTable('sites')
        .set({ ...values, updatedAt })
        .where('id', '=', shop)
        .execute();
    });
  await rig.inventory.transaction(async (trx) => {
    const own = trx.updateTable('backups').set({ startedAt: longAgo(50) });
    await own.where('repository', '=', repository).where('state', '<>', 'deleted').execute();
  });
  const deletion = provision('delete-site-of-shop', { kind: 'delete-site', server: null, site: null });
  await rig.inventory.transaction(async (trx) => await ask(trx, rig.keyring, deletion));
  await site({ status: 'removed', deletedBy: deletion.id }, longAgo(31));
  const { json } = await rig.chom.must('backup', 'clean', '--storage', 'box', '--force', '--json');
  const cleaned = firstOf({ json } as Ran)?.operation ?? '';
  expect(json?.['cleaned']).toMatchObject([{ status: 'succeeded', warnings: [] }]);
  expect(await lying('box')).toEqual([]);
  expect(await loginsOf()).toBe('1\n0\n');
  await rig.replayed(cleaned);
  await site({ status: 'active', deletedBy: null }, longAgo(31));
});

test('all backups of a deleted site are erased from each storage, and only of a deleted one', async () => {
  const purge = async () => await rig.chom('backup', 'purge', '--site', shop, '--confirm', shop, '--json');
  const refused = await purge();
  expect({ exit: refused.exit, type: refused.json?.error?.type }).toEqual({ exit: 1, type: 'Conflict' });
  await rig.inventory.transaction(async (trx) => await sites.setStatus(trx, shop, 'removed'));
  const { exit, json } = await purge();
  expect(exit).toBe(0);
  expect(json?.['purged']).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
  expect([await lying('store'), await lying('box')]).toEqual([[], []]);
  const { host, restPath } = rig.lab.store;
  const logins = await host.exec(
    `grep -c '^${shop}:' ${restPath}/.htpasswd; ls /etc/chom/backup-keys | grep -c ${shop}`,
  );
  expect(logins.stdout).toBe('0\n0\n');
  const data = await rig.lab.store.host.exec(`find ${rig.lab.store.restPath}/${shop}/data -type f`);
  expect(data.stdout).toBe('');
  const states = await rig.inventory.db.selectFrom('backups').select('state').where('site', '=', shop).execute();
  expect(new Set(states.map(({ state }) => state))).toEqual(new Set(['deleted']));
});
