import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { sweep } from '../../src/client/sweep.js';
import { sh } from '../../src/host/shell.js';
import * as backups from '../../src/inventory/backups.js';
import * as obligations from '../../src/inventory/obligations.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import * as tries from '../../src/inventory/tries.js';
import { KEPT_CERTIFICATE } from '../../src/workflows/deletion-plan.js';
import { hostTree } from './host-tree.js';
import { ask } from './on-host.js';
import { liveOverApi, overApi } from './over-api.js';
import { startRig, type Rig } from './rig.js';
import { eventsOf, killAfter, killAll, operationOf } from './storm.js';

const LARAVEL = ['--type', 'laravel', '--from', fileURLToPath(new URL('../../lab/laravel', import.meta.url))];

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => await rig?.down());

async function create(domain: string, ...words: string[]): Promise<sites.Site> {
  await rig.lab.acme.setAddress(domain, { a: [web1.address] });
  await rig.chom.must('site', 'create', domain, '--server', 'web1', ...words);
  return await sites.byDomain(rig.inventory.db, domain);
}
const get = async (domain: string, https = false, path = '/') =>
  await rig.fetch(domain, { address: web1.address, https, path });

/** What the doctor finds wrong with a site. */
async function wrongWith(domain: string): Promise<unknown[]> {
  const { json } = await rig.chom('site', 'doctor', domain, '--json');
  return ((json ?? {})['checks'] as { state: string }[]).filter(({ state }) => state !== 'ok');
}

/** What of a uid, or named by a site, is on the server: processes, files, units, users, databases. */
async function leftOf({ id, uid }: sites.Site): Promise<string> {
  return await ask(
    web1,
    sh`ps -o pid=,args= -U ${uid} || true
find / -xdev \( -uid ${uid} -o -gid ${uid} \) -print 2>/dev/null || true
find / -xdev -name ${`*${id}*`} ! -path '/var/lib/chom/claims/*' ! -path '/var/lib/chom/locks/*' ! -path '/backups/*' -print 2>/dev/null || true
systemctl list-units --all --no-legend --plain ${`*${id}*`}
getent passwd ${id} || true
mariadb -N -e ${`SHOW DATABASES LIKE '%${id}%'; SELECT User FROM mysql.global_priv WHERE User LIKE '%${id}%'`}`,
  );
}

test('a site is not deleted where there is nowhere for its last backup, or without its name', async () => {
  await create('kept.lab.test', '--no-tls');
  const words = ['site', 'delete', 'kept.lab.test', '--json'];
  const nowhere = await rig.chom(...words, '--confirm', 'kept.lab.test');
  expect(nowhere.json?.error).toMatchObject({
    type: 'NotFound',
    next: expect.stringContaining('--no-final-backup --confirm kept.lab.test'),
  });
  expect((await rig.chom(...words, '--no-final-backup')).json?.error).toMatchObject({ type: 'InvalidInput' });
  const other = await rig.chom(...words, '--confirm', 'other.lab.test');
  expect(other.json?.error).toMatchObject({ type: 'InvalidInput', next: 'add --confirm kept.lab.test' });
  expect((await get('kept.lab.test')).status).toBe(200);
  await rig.chom.must(...words, '--no-final-backup', '--confirm', 'kept.lab.test');
  expect((await rig.chom('site', 'show', 'kept.lab.test')).exit).not.toBe(0);

  await ask(web1, sh`install -d -m 0700 /backups`);
  await rig.chom.must('storage', 'add', 'here', '--repository', '/backups');
});

test('[SE-05] over the API a tenant’s site is made of a directory of its own, backed up, restored and deleted; to another tenant it is as if it never was', async () => {
  await rig.chom.must('tenant', 'add', 'other');
  await overApi(rig, async (client) => {
    const [own, other] = [await client('default'), await client('other')];
    await liveOverApi(rig, web1, [own, other]);
    expect((await own.ask('GET', '/v1/sites/tenant.lab.test')).status).toBe(404);
  });
});

test('suspending a site turns visitors away, stops what works for it over a boot, and leaves its certificate to be renewed', async () => {
  const { db } = rig.inventory;
  const domain = 'paused.lab.test';
  const { id } = await create(domain, ...LARAVEL, '--no-tls');
  const works = async () =>
    await ask(
      web1,
      sh`for unit in ${[`chom-php@${id}.service`, `chom-scheduler@${id}.timer`, `chom-queue@${id}.service`]}; do
  systemctl is-active "$unit" || true; systemctl is-enabled "$unit" || true
done
pgrep -c -U ${id} || true`,
    );
  const running = await works();
  const words = ['--json', domain];
  const suspended = await rig.chom.must('site', 'suspend', '--reason', 'unpaid', ...words);
  expect(suspended.json).toMatchObject({ status: 'succeeded', warnings: [] });
  const operation = suspended.json?.operation ?? '';
  expect(await eventsOf(rig, operation)).toEqual(['SiteSuspended']);
  const turnedAway = async (https: boolean) => {
    for (const path of ['/', '/index.php', '/css/app.css']) {
      const { status, body } = await get(domain, https, path);
      expect({ status, body }).toEqual({ status: 503, body: expect.stringContaining('not available') });
    }
    expect(await works()).toBe(`${'inactive\ndisabled\n'.repeat(3)}0\n`);
  };
  await turnedAway(false);
  const shown = await rig.chom.must('site', 'show', ...words);
  expect(shown.json).toMatchObject({ site: { status: 'suspended', suspended: { reason: 'unpaid' } } });
  expect((await rig.chom('site', 'suspend', ...words)).json?.error).toMatchObject({
    type: 'Conflict',
    next: `chom site resume ${domain}`,
  });
  expect(await wrongWith(domain)).toEqual([]);

  await web1.reboot();
  await turnedAway(false);
  // The challenge comes over port 80.
  expect((await rig.chom.must('certificate', 'issue', ...words)).json).toMatchObject({ warnings: [] });
  await rig.chom.must('site', 'repair', ...words);
  expect(await wrongWith(domain)).toEqual([]);
  // Opened by none of them in passing.
  await rig.chom.must('backup', 'create', '--maintenance', ...words);
  await turnedAway(true);

  const resumed = await rig.chom.must('site', 'resume', ...words);
  expect(await eventsOf(rig, resumed.json?.operation ?? '')).toEqual(['SiteResumed']);
  expect((await get(domain, true)).status).toBe(200);
  expect(await works()).toBe(running);
  expect(await sites.byId(db, id)).toMatchObject({ status: 'active', suspendedAt: null, suspendedReason: null });
  for (const one of [operation, resumed.json?.operation ?? '']) await rig.replayed(one);
});

test('aliases come with a certificate that has them in it, and go, and are free then', async () => {
  const { db } = rig.inventory;
  const domain = 'named.lab.test';
  const [www, other] = ['www.named.lab.test', 'other.lab.test'];
  const { id } = await create(domain);
  for (const name of [www, other]) await rig.lab.acme.setAddress(name, { a: [web1.address] });
  const added = (await rig.chom.must('site', 'alias', 'add', domain, www, other, '--json')).json;
  expect(added).toMatchObject({ status: 'succeeded', warnings: [] });
  expect(await eventsOf(rig, added?.operation ?? '')).toEqual(['SiteAliasesChanged']);
  for (const name of [domain, www, other]) {
    const { status, certificate } = await get(name, true);
    expect({ status, names: certificate?.subjectAltName }).toEqual({
      status: 200,
      names: expect.stringContaining(www),
    });
  }
  const taken = await rig.chom('site', 'create', other, '--server', 'web1', '--json');
  expect(taken.json?.error).toMatchObject({ type: 'Conflict' });
  const removed = (await rig.chom.must('site', 'alias', 'remove', domain, other, '--json')).json;
  expect(removed).toMatchObject({ status: 'succeeded', warnings: [] });
  expect(await sites.byId(db, id)).toMatchObject({ aliases: [www] });
  expect(await sites.holding(db, other)).toBeNull();
  expect((await get(www, true)).status).toBe(200);
  await expect(get(other)).rejects.toThrow();
  expect((await rig.chom('site', 'alias', 'remove', domain, other, '--json')).json?.error).toMatchObject({
    type: 'NotFound',
  });
  expect(await wrongWith(domain)).toEqual([]);
  for (const one of [added?.operation ?? '', removed?.operation ?? '']) await rig.replayed(one);
});

test('[CH-01/suspend-site] [CH-01/resume-site] [CH-01/change-aliases] each ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const [pair, named] = [['paused.lab.test', 'halting.lab.test'], 'named.lab.test'] as const;
  const alias = (n: number) => `more${n}.named.lab.test`;
  for (let n = 0; n < 9; n += 1) await rig.lab.acme.setAddress(alias(n), { a: [web1.address] });
  await create(pair[1], ...LARAVEL, '--no-tls');
  const calmly = async (...words: string[]) => (await rig.chom.must('site', ...words, '--json')).json?.operation ?? '';
  const calm = {
    suspend: await calmly('suspend', pair[1]),
    resume: await calmly('resume', pair[1]),
    aliases: await calmly('alias', 'add', named, alias(0)),
  };
  await calmly('suspend', pair[1]);
  /** One of the two that is so; with the worker's help, where a round before this one had only the other. */
  const one = async (status: 'active' | 'suspended'): Promise<string> => {
    for (const domain of pair) if ((await sites.byDomain(db, domain)).status === status) return domain;
    await rig.startWorker();
    await calmly(status === 'active' ? 'resume' : 'suspend', pair[0]);
    await rig.killWorker();
    return pair[0];
  };
  const made = await killAll(rig, calm, async (name, round) => {
    const words = {
      suspend: async () => ['suspend', await one('active')],
      resume: async () => ['resume', await one('suspended')],
      aliases: async () => ['alias', 'add', named, alias(round)],
    };
    return operationOf(await rig.chom('site', ...(await words[name]()), '--detach', '--json'));
  });
  const emits = { suspend: 'SiteSuspended', resume: 'SiteResumed', aliases: 'SiteAliasesChanged' };
  for (const { name, operation } of made) {
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(rig, operation)).toEqual([emits[name]]);
    expect(await places.find(db, operation)).toBeNull();
    await rig.replayed(operation);
  }
  for (const domain of pair) {
    const { status } = await sites.byDomain(db, domain);
    // The first one has a certificate.
    expect((await get(domain, domain === pair[0])).status).toBe(status === 'suspended' ? 503 : 200);
    expect(await wrongWith(domain)).toEqual([]);
  }
  const added = made.filter(({ name }) => name === 'aliases').map(({ round }) => alias(round));
  expect((await sites.byDomain(db, named)).aliases).toEqual(expect.arrayContaining([alias(0), ...added]));
  for (const name of added) expect((await get(name, true)).status).toBe(200);
}, 900_000);

describe('deleting a site', () => {
  /** One that nobody disturbed. */
  let calm = '';

  test('takes all of it away and nothing else, after a last backup that was tried out; its certificate stays a week', async () => {
    const before = await hostTree(web1);
    const site = await create('shop.lab.test', ...LARAVEL);
    const { id, uid } = site;
    await ask(
      web1,
      sh`runuser -u ${id} -- sh -c 'mkdir /var/tmp/stray && echo x >/var/tmp/stray/file' && install -o ${id} -m 0600 /dev/null ${`/var/mail/${id}`}`,
    );
    const shown = (await rig.chom.must('site', 'delete', 'shop.lab.test', '--confirm', 'shop.lab.test', '--json')).json;
    const operation = shown?.operation ?? '';
    calm = operation;
    expect(shown).toMatchObject({ status: 'succeeded', warnings: [], site: { id, status: 'removed' } });
    const { backup } = shown as unknown as { backup: string };
    expect(await backups.byId(rig.inventory.db, backup)).toMatchObject({
      state: 'verified',
      tag: 'final',
      kind: 'full',
    });
    expect(await eventsOf(rig, `${operation}/removal`)).toEqual(['SiteDeleted']);

    const tls = `/var/lib/chom/tls/${id}`;
    const kept = [`${tls}/key.pem`, `${tls}/fullchain.pem`];
    expect((await leftOf(site)).trim()).toBe(tls);
    const fresh = (await hostTree(web1)).filter((line) => !before.includes(line));
    expect(fresh.filter((line) => !line.includes(tls))).toEqual([]);
    expect(before.filter((line) => !line.includes(tls))).toEqual(
      (await hostTree(web1)).filter((line) => !line.includes(tls)),
    );
    expect(await ask(web1, sh`stat -c '%a %U %n' ${kept}; openssl pkey -in ${kept[0] ?? ''} -noout && echo key`)).toBe(
      `${kept.map((path) => `600 root ${path}\n`).join('')}key\n`,
    );
    expect(await ask(web1, sh`cat /var/lib/chom/uids`)).toContain(`${uid} ${id}`);

    // The week is over.
    const owed = await obligations.stillOpen(rig.inventory.db, { site: id });
    expect(owed).toMatchObject([{ operation, name: KEPT_CERTIFICATE }]);
    const due = Date.parse(owed[0]?.due ?? '');
    expect(due - Date.now()).toBeGreaterThan(6.9 * 86_400_000);
    const tried = tries.tryId({ operation, name: KEPT_CERTIFICATE }, 1);
    expect((await sweep(rig, due)).tried).toEqual([tried]);
    await rig.chom.must('op', 'watch', tried);
    expect(await hostTree(web1)).toEqual(before);
    for (const one of [operation, `${operation}/removal`, tried]) await rig.replayed(one);

    // Another site of that name has another uid, and takes the last backup in.
    const again = await create('shop.lab.test', ...LARAVEL, '--no-tls');
    expect(again.uid).toBeGreaterThan(uid);
    await rig.chom.must('backup', 'restore', backup, '--to', 'shop.lab.test', '--yes');
    expect((await get('shop.lab.test')).status).toBe(200);
    await rig.chom.must('site', 'delete', 'shop.lab.test', '--no-final-backup', '--confirm', 'shop.lab.test');
  });

  test('that is cancelled before it is given up leaves it as it was; after that the site goes all the same', async () => {
    const { db } = rig.inventory;
    const domain = 'spared.lab.test';
    const before = await hostTree(web1);
    const site = await create(domain, '--type', 'php', '--no-tls');
    // Which backup was begun last stays noted, and what was published before the last time.
    const tree = async () =>
      (await hostTree(web1)).filter((line) => !/\/var\/lib\/chom\/(backups|previous)/.test(line));
    const made = await tree();
    const deleting = async () =>
      operationOf(await rig.chom('site', 'delete', domain, '--confirm', domain, '--detach', '--json'));
    const cancelledAfter = async (step: string) => {
      const operation = await deleting();
      await killAfter(rig, operation, step);
      await rig.chom.must('op', 'cancel', operation);
      await rig.startWorker();
      await rig.chom('op', 'watch', operation);
      await rig.replayed(operation);
      return await operations.byId(db, operation);
    };
    const spared = await cancelledAfter('closeSite');
    expect(spared).toMatchObject({ outcome: 'cancelled', committed: false, warnings: [] });
    expect(await eventsOf(rig, spared.id)).toEqual([]);
    expect(await sites.byId(db, site.id)).toMatchObject({ status: 'active', deletedBy: null });
    expect((await get(domain)).status).toBe(200);
    expect(await wrongWith(domain)).toEqual([]);
    expect(await tree()).toEqual(made);

    const gone = await cancelledAfter('giveUp');
    expect(gone).toMatchObject({ outcome: 'succeeded', committed: true });
    expect(gone.warnings).not.toEqual([]);
    // What is owed is done with the next sweep that finds it due, or at once.
    if ((await sites.byId(db, site.id)).status !== 'removed') {
      await rig.chom.must('site', 'delete', domain, '--confirm', domain);
    }
    expect(await sites.byId(db, site.id)).toMatchObject({ status: 'removed', deletedBy: gone.id });
    expect((await leftOf(site)).trim()).toBe('');
    expect(await hostTree(web1)).toEqual(before);
  });

  test('goes on though somebody took away its PHP, nginx file, jobs, database and user before', async () => {
    const before = await hostTree(web1);
    const domain = 'parts.lab.test';
    const site = await create(domain, ...LARAVEL, '--no-tls');
    const { id } = site;
    const units = [`chom-php@${id}.service`, `chom-scheduler@${id}.timer`, `chom-queue@${id}.service`];
    await ask(
      web1,
      sh`systemctl disable --now --quiet ${units}
rm -r ${`/etc/chom/php/${id}`} ${`/srv/chom/${id}/app`} ${`/etc/nginx/chom.d/${id}.conf`} ${`/var/log/nginx/chom/${id}`}
# Without its application it fails, which systemd remembers.
systemctl start chom-scheduler@${id}.service && exit 1
rm -f /etc/systemd/system/chom-scheduler@${id}.* /etc/systemd/system/chom-queue@${id}.*
systemctl daemon-reload && systemctl reload nginx
mariadb -e ${`DROP DATABASE ${id}; DROP USER ${id}@localhost`}
userdel -f ${id}`,
    );
    const words = ['--no-final-backup', '--confirm', domain, '--json'];
    const { json } = await rig.chom.must('site', 'delete', domain, ...words);
    expect(json).toMatchObject({ status: 'succeeded', warnings: [], site: { id, status: 'removed' } });
    expect((await leftOf(site)).trim()).toBe('');
    expect(await hostTree(web1)).toEqual(before);
  });

  test('[CH-01/delete-site] ends as an uninterrupted run would, with the worker killed after every step', async () => {
    const { db } = rig.inventory;
    const made: { operation: string; site: sites.Site }[] = [];
    const remove = async () => {
      const domain = `storm${made.length}.lab.test`;
      await rig.startWorker();
      const site = await create(domain, ...LARAVEL, '--no-tls');
      await rig.killWorker();
      const ran = await rig.chom('site', 'delete', domain, '--confirm', domain, '--detach', '--json');
      const operation = operationOf(ran);
      made.push({ operation, site });
      return operation;
    };
    const before = await hostTree(web1);
    // What takes the site away is an operation inside.
    const asked = async (name: 'deletion' | 'removal') =>
      name === 'deletion' ? await remove() : `${made.at(-1)?.operation}/removal`;
    await killAll(rig, { deletion: calm, removal: `${calm}/removal` }, asked);
    for (const { operation, site } of made) {
      for (const one of [operation, `${operation}/removal`]) {
        expect(await operations.byId(db, one)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
        await rig.replayed(one);
      }
      expect(await eventsOf(rig, operation)).toEqual([]);
      expect(await eventsOf(rig, `${operation}/removal`)).toEqual(['SiteDeleted']);
      expect(await places.find(db, operation)).toBeNull();
      expect(await sites.byId(db, site.id)).toMatchObject({ status: 'removed' });
      expect(await backups.list(db, { site: site.id })).toMatchObject([{ state: 'verified', tag: 'final' }]);
      expect((await leftOf(site)).trim()).toBe('');
    }
    expect(await hostTree(web1)).toEqual(before);
  }, 900_000);
});
