import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { resticProgram } from '../../lab/restic-programs.js';
import type { LabStore } from '../../lab/index.js';
import * as backups from '../../src/inventory/backups.js';
import * as sites from '../../src/inventory/sites.js';
import { spareBackups } from '../../src/plane/spare-backups.js';
import type { Finding } from '../../src/workflows/inspection.js';
import type { Ran } from './rig-command.js';
import { startRig, type Rig } from './rig.js';

/** Storages whose files no enrolled server keeps: CHOM's own machine maintains them. */
const SHOP = 'shop.lab.test';
const DAY = 24 * 3_600_000;

let rig: Rig;
let store: LabStore;
let shop = '';
let programs = '';
const file = (name: string) => join(rig.home, name);
beforeAll(async () => {
  // restic as it is; while a file says so, it comes no further with a check.
  programs = await mkdtemp(join(tmpdir(), 'chom-restic-'));
  const held = `#!/bin/sh
case " $* " in *' check '*)
  touch '${programs}/checking'
  while [ -e '${programs}/hold' ]; do sleep 0.1; done ;;
esac
exec '${await resticProgram()}' "$@"
`;
  await writeFile(join(programs, 'restic'), held, { mode: 0o755 });
  const environment = { CHOM_RESTIC: join(programs, 'restic') };
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'store1', store: true, s3: true }], environment });
  store = rig.lab.store;
  await rig.startWorker();
  await rig.enrol(rig.lab.host('web1'));
  await rig.chom.must('site', 'create', SHOP, '--server', 'web1', '--no-tls');
  const policy = ['--keep-within', '0', '--keep-daily', '1', '--keep-weekly', '0', '--keep-monthly', '0'];
  await rig.chom.must('site', 'set', SHOP, ...policy);
  shop = (await sites.byDomain(rig.inventory.db, SHOP)).id;
  await writeFile(file('owner'), store.s3.owner, { mode: 0o600 });
});
afterAll(async () => {
  await rig?.down();
  await rm(programs, { recursive: true, force: true });
});

/** So many backups, of so many days ago. */
async function aged(storage: string, ages: readonly number[]): Promise<string[]> {
  const made: string[] = [];
  for (const days of ages) {
    const { json } = await rig.chom.must('backup', 'create', SHOP, '--storage', storage, '--json');
    const { id = '' } = (json?.['backup'] ?? {}) as { id?: string };
    const startedAt = new Date(Date.now() - days * DAY).toISOString();
    await rig.inventory.transaction(async (trx) => {
      await trx.updateTable('backups').set({ startedAt }).where('id', '=', id).execute();
    });
    made.push(id);
  }
  return made;
}

const stateOf = async (id: string) => (await backups.byId(rig.inventory.db, id)).state;
const operationOf = ({ json }: Ran) => ((json?.['cleaned'] ?? []) as { operation: string }[])[0]?.operation ?? '';
const checksOf = (json: Record<string, unknown> | undefined) => (json?.['checks'] ?? []) as Finding[];
/** Nothing of what ran on this machine for the rig is left there: it may be others' that is. */
const left = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('chom-here-'));
const sizeOf = async (path: string) => Number((await store.host.exec(`du -sb ${path} | cut -f 1`)).stdout);

describe('S3', () => {
  const bucket = { name: 'keeping', versioned: false, keeps: true };
  let made: string[] = [];
  const clean = ['backup', 'clean', SHOP, '--storage', 'keeping', '--force'];

  beforeAll(async () => {
    await writeFile(file('login'), await store.s3.bucket(bucket), { mode: 0o600 });
    const at = ['--repository', `${store.s3.url}/keeping/chom`, '--ca', store.caFile, '--login', file('login')];
    await rig.chom.must('storage', 'add', 'keeping', ...at);
    made = await aged('keeping', [20, 10, 0]);
  });

  test('is not cleaned before CHOM has a login that may delete', async () => {
    const { exit, json } = await rig.chom(...clean, '--json');
    const next = 'chom storage set keeping --maintain controller --maintain-login FILE';
    expect({ exit, json }).toMatchObject({
      exit: 1,
      json: { cleaned: [{ error: { type: 'UnsupportedHost', next } }] },
    });
    const nothing = await rig.chom('storage', 'set', 'keeping', '--maintain', 'controller', '--json');
    expect(nothing.json?.error?.next).toContain('--maintain-login FILE');
  });

  test('says so where that login may not delete either, and removes nothing', async () => {
    await rig.chom.must('storage', 'set', 'keeping', '--maintain', 'controller', '--maintain-login', file('login'));
    const { exit, json } = await rig.chom(...clean, '--json');
    expect({ exit, json }).toMatchObject({ exit: 1, json: { cleaned: [{ error: { type: 'StorageRefused' } }] } });
  });

  test('is looked through by CHOM’s own machine, which reads another part of the data each time', async () => {
    const set = ['storage', 'set', 'keeping', '--maintain', 'controller', '--maintain-login', file('owner'), '--json'];
    const { json } = await rig.chom.must(...set);
    expect(json).toMatchObject({ storage: { maintain: { controller: true, login: 'lab-root' } } });
    const check = async (...words: string[]) => {
      const checked = await rig.chom('storage', 'check', 'keeping', '--from', 'web1', ...words, '--json');
      return { exit: checked.exit, said: checksOf(checked.json).find(({ name }) => name === shop) };
    };
    const whole = (what: string) => ({
      exit: 0,
      said: { name: shop, state: 'ok', message: `The repository is whole, and ${what} was read` },
    });
    expect(await check()).toMatchObject(whole('part 1 of 4 of its data'));
    expect(await check()).toMatchObject(whole('part 2 of 4 of its data'));
    expect((await rig.chom.must('storage', 'show', 'keeping')).stdout).toMatch(
      new RegExp(`^data read +${SHOP}: part 2 of 4, `, 'm'),
    );
    expect(await check('--read-data', 'all')).toMatchObject(whole('all of its data'));
    // As a disk does that loses what it wrote.
    const [pack = ''] = (
      await store.host.exec(`find ${store.s3.path}/keeping/chom/${shop}/data -type f | head -n 1`)
    ).stdout.split('\n');
    await store.host.exec(`cp -a ${pack} /root/pack && printf x | dd of=${pack} bs=1 seek=50 conv=notrunc`);
    const bad = await check('--read-data', 'all');
    expect(bad).toMatchObject({ exit: 1, said: { state: 'wrong' } });
    await store.host.exec(`cat /root/pack >${pack}`);
  });

  test('is looked through by the next worker where one is killed meanwhile, and nothing of that is left on this machine', async () => {
    const [hold, checking] = [join(programs, 'hold'), join(programs, 'checking')];
    await rm(checking);
    await writeFile(hold, '');
    const looking = rig.chom.start('storage', 'check', 'keeping', '--from', 'web1', '--json');
    await poll('restic looks through it', 120_000, async () => existsSync(checking));
    await rig.killWorker();
    await poll('nothing is left on this machine', 60_000, async () => (await left()).length === 0);
    for (const one of [hold, checking]) await rm(one);
    await rig.startWorker();
    const { exit, json } = await looking.ended;
    expect({ exit, said: checksOf(json).find(({ name }) => name === shop) }).toMatchObject({
      exit: 0,
      said: {
        state: 'ok',
        message: expect.stringMatching(/^The repository is whole, and part \d+ of \d+ of its data was read$/),
      },
    });
    // By another restic than the one that died.
    expect(existsSync(checking)).toBe(true);
    expect(await left()).toEqual([]);
  });

  test('is cleaned from there, whose worker is killed meanwhile, and nothing of that is left on this machine', async () => {
    const asked = await rig.chom.must(...clean, '--detach', '--json');
    const operation = operationOf(asked);
    await poll('backups are being removed', 60_000, async () => (await stateOf(made[0]!)) !== 'completed');
    await rig.killWorker();
    await rig.startWorker();
    await rig.chom.must('op', 'watch', operation, '--json');
    expect(await Promise.all(made.map(stateOf))).toEqual(['deleted', 'deleted', 'completed']);
    const events = rig.inventory.db.selectFrom('events').select('data').where('type', '=', 'BackupsCleaned');
    const { data } = await events.where('operation', '=', operation).executeTakeFirstOrThrow();
    const { storage, removed } = JSON.parse(data) as { storage: string; removed: string[] };
    expect([storage, removed.toSorted()]).toEqual(['keeping', made.slice(0, 2).toSorted()]);
    expect((await store.host.exec(`ls ${store.s3.path}/keeping/chom/${shop}/locks`)).stdout).toBe('');
    await rig.replayed(operation);
  });

  test('shows its logins to nobody who reads the worker’s log or the inventory', async () => {
    const [, secret = ''] = store.s3.owner.split(':');
    const shown = await rig.chom.must('storage', 'show', 'keeping', '--json');
    const kept = await readFile(join(rig.home, 'inventory.db'));
    for (const text of [shown.stdout, await rig.workerLog(), kept.toString('latin1')])
      expect(text).not.toContain(secret);
  });
});

test('an SFTP storage of somebody else’s is cleaned with a key of its own', async () => {
  const keys = ['site-key', 'own-key'];
  for (const key of keys) {
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(key)]);
    await store.authorize((await readFile(file(`${key}.pub`), 'utf8')).trim());
  }
  const at = ['--repository', store.sftp, '--host-key', store.host.hostKey, '--key', file('site-key')];
  await rig.chom.must('storage', 'add', 'box', ...at, '--maintain', 'controller', '--maintain-key', file('own-key'));
  const made = await aged('box', [10, 0]);
  const { json } = await rig.chom.must('backup', 'clean', SHOP, '--storage', 'box', '--force', '--json');
  expect(json?.['cleaned']).toMatchObject([{ status: 'succeeded', removed: [made[0]] }]);
  const [sizes] = (json?.['cleaned'] ?? []) as { bytesBefore: number; bytesAfter: number }[];
  expect(sizes?.bytesAfter).toBeGreaterThan(0);
  expect(sizes?.bytesBefore).toBeGreaterThan(sizes?.bytesAfter ?? 0);
});

test('a REST server of somebody else’s is cleaned by its other address, and its passwords lie sealed in it', async () => {
  const { rest, restPath, caFile, host } = store;
  const line = (user: string) =>
    `perl -e 'print "${user}:", crypt("of-${user}", q($2y$05$abcdefghijklmnopqrstuu)), "\\n"'`;
  const tls = '--tls --tls-cert /etc/rest-server/certificate.pem --tls-key /etc/rest-server/key.pem';
  const pruning = `rest-server --path ${restPath} --listen :8003 ${tls} --htpasswd-file /etc/rest-server/pruners`;
  const { exit, stderr } = await host.exec(`set -e; ${line('shared')} >${restPath}/.htpasswd
${line('pruner')} >/etc/rest-server/pruners
systemctl restart rest-server
systemd-run -q --unit=pruning --uid=rest-server --property=UMask=0077 /usr/local/bin/${pruning}`);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  for (const user of ['shared', 'pruner']) await writeFile(file(user), `${user}:of-${user}`, { mode: 0o600 });
  await rig.chom.must(
    ...['storage', 'add', 'theirs', '--repository', `${rest}/shared`, '--ca', caFile, '--login', file('shared')],
    ...['--maintain', 'controller', '--maintain-login', file('pruner')],
    ...['--maintain-repository', `${rest.replace(':8000', ':8003')}/shared`],
  );
  const made = await aged('theirs', [10, 0]);
  const tried = await rig.chom.must('storage', 'check', 'theirs', '--from', 'web1', '--json');
  expect(tried.json).toMatchObject({ ok: true, storage: { access: 'append-only', logins: 'shared' } });
  const { json } = await rig.chom.must('backup', 'clean', SHOP, '--storage', 'theirs', '--force', '--json');
  expect(json?.['cleaned']).toMatchObject([{ status: 'succeeded', removed: [made[0]] }]);
  const kit = (await rig.chom.must('storage', 'recovery-kit', '--json')).json?.['repositories'];
  expect(kit).toContainEqual(
    expect.objectContaining({
      storage: 'theirs',
      sealed: `${rest}/shared/recovery-${shop}`,
      sealedOpenedBy: 'chom-recovery',
    }),
  );
  expect((await host.exec(`ls ${restPath}/shared/recovery-${shop}/snapshots | wc -l`)).stdout).toBe('1\n');
});

test('[BD-07] --upload lays a backup of CHOM itself down in S3 or over SFTP, and fails where that does', async () => {
  const upload = async (storage: string) => await rig.chom('backup', 'database', '--upload', storage, '--json');
  for (const [storage, path] of [
    ['keeping', `${store.s3.path}/keeping/chom`],
    ['box', store.sftpPath],
  ] as const) {
    const { exit, json } = await upload(storage);
    expect({ exit, storage }).toEqual({ exit: 0, storage });
    const { uploaded, name, sha256 } = json as Record<string, string>;
    expect(uploaded).toMatch(new RegExp(`^${storage === 'box' ? 'sftp' : 's3'}:.*/control-plane/${name}$`));
    expect((await store.host.exec(`sha256sum <${path}/control-plane/${name}`)).stdout).toContain(sha256);
  }
  await writeFile(file('nobody'), 'nobody:secret', { mode: 0o600 });
  const at = ['--repository', `${store.s3.url}/keeping`, '--ca', store.caFile, '--login', file('nobody')];
  await rig.chom.must('storage', 'add', 'refusing', ...at);
  const untrusting = ['--repository', `${store.s3.url}/keeping`, '--login', file('login')];
  await rig.chom.must('storage', 'add', 'untrusting', ...untrusting);
  for (const storage of ['refusing', 'untrusting']) {
    const { exit, json, stderr } = await upload(storage);
    expect({ storage, exit, type: json?.error?.type }).toEqual({ storage, exit: 1, type: 'StorageRefused' });
    expect(stderr).toContain('It lies on this machine alone: ');
  }
  await store.host.exec('systemctl stop s3');
  expect(await upload('keeping')).toMatchObject({ exit: 1, json: { error: { type: 'StorageUnreachable' } } });
  await store.host.exec('systemctl start s3');
});

test('[BD-07] a worker that backs CHOM up removes there what is kept no more, where it may or has a login that may', async () => {
  await rig.chom.must('recovery-kit');
  await writeFile(file('mover'), await store.s3.bucket({ name: 'moving', versioned: false, keeps: false }), {
    mode: 0o600,
  });
  const place = ['--repository', `${store.s3.url}/moving/chom`, '--ca', store.caFile, '--login', file('mover')];
  await rig.chom.must('storage', 'add', 'moving', ...place);
  // `keeping` lets sites' login delete nothing; CHOM has another there.
  for (const [storage, path] of [
    ['moving', `${store.s3.path}/moving/chom/control-plane`],
    ['keeping', `${store.s3.path}/keeping/chom/control-plane`],
    ['box', `${store.sftpPath}/control-plane`],
  ] as const) {
    const day = (days: number, hour: string) => {
      const date = new Date(Date.now() - days * DAY).toISOString().slice(0, 10).replaceAll('-', '');
      return `control-plane-${date}T${hour}0000000Z.chom-sealed`;
    };
    // Of each of ten days two, and what is none of CHOM's.
    const days = Array.from({ length: 10 }, (_, n) => n + 2);
    const laid = [...days.flatMap((n) => [day(n, '02'), day(n, '03')]), 'notes.txt'];
    const lay = `mkdir -p '${path}' && cd '${path}' && touch ${laid.join(' ')}`;
    const { exit } = await store.host.exec(`${lay} && chown -R --reference="$(dirname '${path}')" .`);
    expect({ exit, storage }).toEqual({ exit: 0, storage });
    const before = (await store.host.exec(`ls '${path}'`)).stdout.trim().split('\n');
    const { json } = await rig.chom.must('backup', 'database', '--detach', '--upload', storage, '--json');
    await rig.chom.must('op', 'watch', String(json?.operation));
    const after = (await store.host.exec(`ls '${path}'`)).stdout.trim().split('\n');
    const made = after.filter((name) => !before.includes(name));
    expect(made).toEqual([expect.stringMatching(/\.chom-sealed$/)]);
    const spare = new Set(spareBackups([...before, ...made], Date.now()));
    expect(spare.size).toBeGreaterThanOrEqual(days.length);
    expect(after.toSorted()).toEqual([...before, ...made].filter((name) => !spare.has(name)).toSorted());
    // The newest of each day, for as many days as are kept: no earlier one of any day.
    for (const n of days) expect(after).not.toContain(day(n, '02'));
    for (const n of days.slice(0, 5)) expect(after).toContain(day(n, '03'));
    expect(after).toContain('notes.txt');
    await rig.replayed(String(json?.operation));
  }
});

test('what a deleted site has is erased from each of them', async () => {
  await rig.inventory.transaction(async (trx) => await sites.setStatus(trx, shop, 'removed'));
  const before = await sizeOf(`${store.s3.path}/keeping/chom/${shop}/data`);
  const { json } = await rig.chom.must('backup', 'purge', '--site', shop, '--confirm', shop, '--json');
  expect(json?.['purged']).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }, { status: 'succeeded' }]);
  for (const path of [`${store.s3.path}/keeping/chom/${shop}`, `${store.sftpPath}/${shop}`]) {
    expect((await store.host.exec(`find ${path}/data ${path}/snapshots ${path}/index -type f`)).stdout).toBe('');
  }
  expect(before).toBeGreaterThan(await sizeOf(`${store.s3.path}/keeping/chom/${shop}/data`));
  expect(await left()).toEqual([]);
});
