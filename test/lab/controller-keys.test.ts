import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { tryOwed } from '../../src/client/tries.js';
import type * as accounts from '../../src/inventory/accounts.js';
import * as credentials from '../../src/inventory/credentials.js';
import { keyringFile } from '../../src/inventory/keyring-file.js';
import type { KeyringObject } from '../../src/inventory/keyring.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import { openFromRecovery } from '../../src/inventory/recovery.js';
import * as repositories from '../../src/inventory/repositories.js';
import * as rotation from '../../src/inventory/repository-rotation.js';
import { sealedBy } from '../../src/inventory/reseal.js';
import * as sites from '../../src/inventory/sites.js';
import * as storages from '../../src/inventory/storages.js';
import * as tries from '../../src/inventory/tries.js';
import { OLD_PASSWORD } from '../../src/workflows/storage-rotation-plan.js';
import { rawHistories, readable, unsealed } from './histories.js';
import type { Ran } from './rig-command.js';
import { type Rig, startRig } from './rig.js';
import { eventsOf, killAll, operationOf } from './storm.js';

const SITES = ['one.lab.test', 'two.lab.test', 'three.lab.test'] as const;
const [SHOP] = SITES;
const BOX = '/srv/box';

let rig: Rig;
let recoveryKey = '';
let directory = '';
/** Every key and password that there was. */
const held = new Set<string>();
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chom-keys-'));
  rig = await startRig({ hosts: [{ name: 'web1' }, { name: 'store1', store: true }], acme: true });
  const { store } = rig.lab;
  await rig.startWorker();
  const { stderr } = await rig.chom.must('recovery-kit');
  recoveryKey = /CHOM-RECOVERY-PRIVATE-\S+/.exec(stderr)?.[0] ?? '';
  await Promise.all([rig.lab.host('web1'), store.host].map(async (host) => await rig.enrol(host)));
  const box = ['--repository', `sftp:${store.host.address}`, '--maintain', `store1:${BOX}`];
  await rig.chom.must('storage', 'add', 'box', ...box);
  for (const domain of SITES) {
    await rig.lab.acme.setAddress(domain, { a: [rig.lab.host('web1').address] });
    const tls = domain === SHOP ? [] : ['--no-tls'];
    await rig.chom.must('site', 'create', domain, '--server', 'web1', ...tls);
    await rig.chom.must('backup', 'create', domain, '--storage', 'box');
  }
});
afterAll(async () => {
  await rig?.down();
  await rm(directory, { recursive: true, force: true });
});

const row = async (id: string) => await operations.byId(rig.inventory.db, id);
async function repositoryOf(domain: string): Promise<repositories.Repository> {
  const { db } = rig.inventory;
  const { id } = await storages.byName(db, 'default', 'box');
  return await repositories.byId(db, repositories.repositoryId(id, (await sites.byDomain(db, domain)).id));
}
/** Whether a password opens the repository where it lies. */
async function opens(site: string, password: Buffer): Promise<boolean> {
  const { exit, stderr } = await rig.lab.store.host.exec(
    `RESTIC_PASSWORD='${password.toString()}' restic --no-cache --no-lock -r ${BOX}/${site} cat config >/dev/null`,
  );
  if (exit !== 0 && exit !== 12) throw new Error(stderr);
  return exit === 0;
}
/** The passwords that CHOM keeps of a repository, by what they are to it. */
async function kept(domain: string) {
  const repository = await repositoryOf(domain);
  const login = repositories.loginOf(
    repository,
    await storages.byId(rig.inventory.db, repository.storage),
    rig.keyring,
  );
  const all = {
    current: repositories.passwordOf(repository, rig.keyring),
    next: rotation.nextOf(repository, rig.keyring)?.password ?? null,
    old: rotation.oldPasswordOf(repository, rig.keyring),
  };
  for (const password of Object.values(all)) if (password) held.add(password.toString());
  if (login?.kind === 'sftp') for (const line of login.privateKey.split('\n').slice(2, -2)) held.add(line);
  return { site: repository.site ?? '', ...all };
}
/** What lies beside the repository for whoever has the recovery key alone. */
async function escrowed(site: string): Promise<Buffer> {
  const { stdout } = await rig.lab.store.host.exec(`cat ${BOX}/recovery/${site}`);
  const { password } = JSON.parse(openFromRecovery(recoveryKey, stdout).toString()) as { password: string };
  return Buffer.from(password);
}
/** So many keys get in over SFTP. */
async function logins(site: string): Promise<number> {
  const { id } = await storages.byName(rig.inventory.db, 'default', 'box');
  const { stdout } = await rig.lab.store.host.exec(`cat /etc/chom/backup-keys/${id}-${site}`);
  return stdout.trim().split('\n').length;
}
/** The operation that `storage rotate` asked for, for one site. */
function rotated({ json, stderr }: Ran): string {
  const [first] = (json?.['rotated'] ?? []) as { operation?: string }[];
  if (first?.operation === undefined) throw new Error(stderr);
  return first.operation;
}
/** Has what a rotation owes tried now. Returns the id of the try. */
async function retire(operation: string): Promise<string> {
  const key = { operation, name: OLD_PASSWORD };
  const { tries: before = 0 } = (await obligations.find(rig.inventory.db, key)) ?? {};
  await rig.inventory.transaction(async (trx) => await obligations.postpone(trx, key, new Date().toISOString()));
  // The worker's own sweep may be faster.
  await tryOwed(rig);
  const id = tries.tryId(key, before + 1);
  await rig.chom('op', 'watch', id);
  return id;
}

test('the master key is changed while a worker works, and nobody has to start again', async () => {
  const before = rig.keyring.current;
  const under = operationOf(await rig.chom('backup', 'create', SHOP, '--storage', 'box', '--detach', '--json'));
  const { json } = await rig.chom.must('key', 'rotate', '--json');
  expect(json).toMatchObject({ kept: [before], unreadable: [] });
  const key = String(json?.['key']);
  expect(rig.keyring.current).toBe(key);
  expect(await sealedBy(rig.inventory.db, before)).toEqual({});
  const { keys } = JSON.parse(await readFile(keyringFile(rig.home), 'utf8')) as KeyringObject;
  for (const one of keys) held.add(one.key);
  await rig.chom.must('op', 'watch', under);
  expect(await row(under)).toMatchObject({ outcome: 'succeeded', warnings: [] });
  // What was sealed with the old key is read still: histories from before, and the one that went on meanwhile.
  await rig.replayed(under);
  await rig.chom.must('site', 'doctor', SHOP);
  const made = operationOf(await rig.chom.must('backup', 'create', SHOP, '--storage', 'box', '--json'));
  expect(Object.keys(await sealedBy(rig.inventory.db, before))).toEqual([]);
  expect(await row(made)).toMatchObject({ outcome: 'succeeded' });
  const doctor = await rig.chom('doctor', '--json');
  expect(JSON.stringify(doctor.json)).toContain(`No backup of CHOM itself holds key ${key}`);
  expect(JSON.stringify(doctor.json)).not.toContain('lacks keys');
  const refused = await rig.chom('key', 'retire', before, '--confirm', before, '--json');
  expect(refused.json?.error).toMatchObject({ type: 'Conflict', message: expect.stringContaining('Temporal keeps') });
});

test('a worker backs CHOM up, and what that holds may be relied upon', async () => {
  const { store } = rig.lab;
  const vault = ['storage', 'add', 'vault', '--repository', store.sftp, '--host-key', store.host.hostKey];
  const { stderr: told } = await rig.chom.must(...vault);
  await store.authorize(/ssh-ed25519 \S+ \S+/.exec(told)?.[0] ?? '');
  // Two of one day, of which one is kept.
  const spare = 'control-plane-20260901T020000000Z.chom-sealed';
  const [left, other] = ['control-plane-20260901T030000000Z.chom-sealed', 'notes.txt'];
  const there = `${store.sftpPath}/control-plane`;
  const make = `mkdir -p ${there} && cd ${there} && touch ${spare} ${left} ${other}`;
  await store.host.exec(`${make} && chown -R --reference=${store.sftpPath} ${there}`);
  const { json } = await rig.chom.must('backup', 'database', '--detach', '--upload', 'vault', '--json');
  await rig.chom.must('op', 'watch', String(json?.operation));
  expect(await row(String(json?.operation))).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(await eventsOf(rig, String(json?.operation))).toEqual(['ControlPlaneBackedUp']);
  const lying = (await store.host.exec(`ls ${there}`)).stdout.trim().split('\n');
  expect(lying).toHaveLength(3);
  expect(lying).toEqual(expect.arrayContaining([left, other]));
  const [newest] = ((await rig.chom.must('recovery-kit', '--json')).json?.['backups'] ?? []) as { file: string }[];
  const keyFile = join(directory, 'key.txt');
  await writeFile(keyFile, recoveryKey);
  await rig.chom.must('backup', 'database', '--test', newest?.file ?? '', '--recovery-key', keyFile);
  const { json: doctor } = await rig.chom('doctor', '--json');
  expect(JSON.stringify(doctor)).not.toContain('No backup of CHOM itself');
});

test('a repository gets another password and login, and the old ones go once a backup of CHOM holds the new ones', async () => {
  const { site, current: old } = await kept(SHOP);
  const operation = rotated(await rig.chom('storage', 'rotate', 'box', '--site', SHOP, '--json'));
  expect(await row(operation)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  const now = await kept(SHOP);
  expect(now.current.equals(old)).toBe(false);
  expect([await opens(site, now.current), await opens(site, old)]).toEqual([true, true]);
  expect((await escrowed(site)).equals(now.current)).toBe(true);
  expect(await logins(site)).toBe(2);
  await rig.chom.must('backup', 'create', SHOP, '--storage', 'box');
  const again = await rig.chom('storage', 'rotate', 'box', '--site', SHOP, '--json');
  expect(again.exit).toBe(1);
  const early = await retire(operation);
  expect(await row(early)).toMatchObject({ outcome: 'failed', failureType: 'NotBackedUp' });
  await rig.chom.must('backup', 'database');
  const retired = await retire(operation);
  expect(await row(retired)).toMatchObject({ outcome: 'succeeded', warnings: [] });
  expect(await eventsOf(rig, retired)).toEqual(['StorageCredentialsRetired']);
  expect([await opens(site, now.current), await opens(site, old)]).toEqual([true, false]);
  expect([await logins(site), (await kept(SHOP)).old]).toEqual([1, null]);
  await rig.chom.must('backup', 'create', SHOP, '--storage', 'box');
  for (const id of [operation, early, retired]) await rig.replayed(id);
});

test('over REST, where a user has one password, the old one gets in no more as soon as the new one does', async () => {
  const { rest, caFile, restPath } = rig.lab.store;
  const [, domain] = SITES;
  await rig.chom.must(
    'storage',
    'add',
    'rest',
    '--repository',
    rest,
    '--ca',
    caFile,
    '--maintain',
    `store1:${restPath}`,
  );
  await rig.chom.must('backup', 'create', domain, '--storage', 'rest');
  const { db } = rig.inventory;
  const login = async () => {
    const storage = await storages.byName(db, 'default', 'rest');
    const id = repositories.repositoryId(storage.id, (await sites.byDomain(db, domain)).id);
    const repository = await repositories.byId(db, id);
    const own = repositories.loginOf(repository, storage, rig.keyring);
    if (own?.kind !== 'rest') throw new Error('no login of its own');
    for (const password of [own.password, repositories.passwordOf(repository, rig.keyring).toString()])
      held.add(password);
    return { url: repository.url.slice('rest:'.length), who: `${own.user}:${own.password}` };
  };
  const answers = async ({ url, who }: { url: string; who: string }) =>
    (
      await rig.lab.store.host.exec(
        `curl -sk -o /dev/null -w '%{http_code}' -u '${who}' '${url.replace(/\/?$/, '/config')}'`,
      )
    ).stdout;
  const old = await login();
  expect(await answers(old)).toBe('200');
  const operation = rotated(await rig.chom('storage', 'rotate', 'rest', '--site', domain, '--json'));
  expect(await row(operation)).toMatchObject({ outcome: 'succeeded', committed: true, warnings: [] });
  expect([await answers(await login()), await answers(old)]).toEqual(['200', '401']);
  await rig.chom.must('backup', 'create', domain, '--storage', 'rest');
  await rig.replayed(operation);
});

test('the account at the certificate authority gets another key, and the authority knows the old one no more', async () => {
  const { db } = rig.inventory;
  const account = async () =>
    (await db.selectFrom('accounts').selectAll().executeTakeFirstOrThrow()) as accounts.Account;
  const before = await account();
  const { json } = await rig.chom.must('certificate', 'account', 'roll', '--json');
  expect(await eventsOf(rig, String(json?.operation))).toEqual(['CertificateAccountRolled']);
  const now = await account();
  expect(now.url).toBe(before.url);
  expect(now.credential).not.toBe(before.credential);
  expect(await credentials.find(db, before.credential)).toBeUndefined();
  await rig.chom.must('certificate', 'renew', SHOP);
  expect(await account()).toEqual(now);
  await rig.replayed(String(json?.operation));
});

test('a rotation that is cancelled leaves what opened the repository, and nothing else', async () => {
  const domain = SITES[2];
  const { site, current: before } = await kept(domain);
  const count = async () => (await rig.lab.store.host.exec(`ls ${BOX}/${site}/keys | wc -l`)).stdout;
  const keys = await count();
  // The sealed copy cannot be laid down: a directory is in its way.
  const path = `${BOX}/recovery/${site}`;
  await rig.lab.store.host.exec(`mv ${path} ${path}.kept && mkdir -p ${path}/x`);
  const operation = rotated(await rig.chom('storage', 'rotate', 'box', '--site', domain, '--detach', '--json'));
  await poll('its first attempt has failed', 120_000, async () => {
    const { events: recorded } = await rig.temporal.workflow.getHandle(operation).fetchHistory();
    return (recorded ?? []).some((event) => event.activityTaskFailedEventAttributes);
  });
  const { next } = await kept(domain);
  expect([await opens(site, before), next && (await opens(site, next)), await logins(site)]).toEqual([true, true, 2]);
  await rig.lab.store.host.exec(`rm -r ${path}; mv ${path}.kept ${path}`);
  await rig.chom('op', 'cancel', operation);
  await rig.chom('op', 'watch', operation);
  expect(await row(operation)).toMatchObject({ outcome: 'cancelled', warnings: [] });
  const now = await kept(domain);
  expect([now.current.equals(before), now.next, now.old]).toEqual([true, null, null]);
  expect((await escrowed(site)).equals(before)).toBe(true);
  expect([await opens(site, before), await logins(site), await count()]).toEqual([true, 1, keys]);
  await rig.replayed(operation);
});

test('whatever step the worker is killed after, a password that CHOM keeps opens the repository', async () => {
  const calm = rotated(await rig.chom('storage', 'rotate', 'box', '--site', SHOP, '--json'));
  const opened: boolean[] = [];
  let domain = '';
  const made = await killAll(
    rig,
    { rotate: calm },
    async (_, round) => {
      domain = SITES[round] ?? '';
      return rotated(await rig.chom('storage', 'rotate', 'box', '--site', domain, '--detach', '--json'));
    },
    [],
    async () => {
      const { site, current } = await kept(domain);
      // Also by whoever has nothing of CHOM but the recovery key.
      opened.push((await opens(site, current)) && (await opens(site, await escrowed(site))));
    },
  );
  expect(opened.length).toBeGreaterThan(8);
  expect(opened).not.toContain(false);
  for (const { operation } of made) {
    expect(await row(operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual(['StorageCredentialsRotated']);
    await rig.replayed(operation);
  }
  await rig.chom.must('backup', 'create', SITES[1], '--storage', 'box');
}, 900_000);

test('no history, log or inventory shows any part of a key or a password', async () => {
  const histories = await rawHistories(rig);
  const logs = `find /var/lib/chom/jobs /var/log -type f ! -path '*/journal/*' -exec cat {} +; journalctl -q; true`;
  const all = [
    readable(histories),
    unsealed(histories, rig),
    await rig.workerLog(),
    (await rig.lab.host('web1').exec(logs)).stdout,
    (await rig.lab.store.host.exec(logs)).stdout,
  ].join('\n');
  expect(all).toContain('rotate-storage-credentials');
  expect(held.size).toBeGreaterThan(6);
  expect([...held].filter((part) => all.includes(part))).toEqual([]);
});
