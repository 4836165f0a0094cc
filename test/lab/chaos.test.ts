import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import { startRig, type Rig } from './rig.js';

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1);
});
afterAll(async () => await rig?.down());

/** Steps of these operations that Temporal has recorded as done. */
async function stepsDone(ids: readonly string[]): Promise<number> {
  let done = 0;
  for (const id of ids) {
    const history = await rig.temporal.workflow
      .getHandle(id)
      .fetchHistory()
      .catch(() => null);
    done += (history?.events ?? []).filter((event) => event.activityTaskCompletedEventAttributes).length;
  }
  return done;
}

/** SIGKILLs the worker each time that another step of the operations is done, and starts the next one, to their end. */
async function killAfterEveryStep(operation: string, ...children: string[]): Promise<number> {
  const ids = [operation, ...children];
  let seen = await stepsDone(ids);
  let kills = 0;
  const deadline = Date.now() + 900_000;
  while ((await operations.byId(rig.inventory.db, operation)).outcome === null) {
    if (Date.now() > deadline) throw new Error(`${operation} has not ended after ${kills} kills`);
    const done = await stepsDone(ids);
    if (done === seen) {
      await sleep(20);
      continue;
    }
    seen = done;
    await rig.killWorker();
    kills += 1;
    await rig.startWorker();
  }
  return kills;
}

/** All that a site is on its server, with its own names taken out, so that two sites can be compared. */
async function siteOnHost(id: string, domain: string): Promise<string> {
  const { exit, stdout, stderr } = await web1.exec(`
    find /srv/chom/${id} /etc/chom/php/${id} /var/lib/chom/tls/${id} /etc/nginx/chom.d/${id}.conf /var/log/nginx/chom/${id} \\
      -printf '%p %y %m %u:%g\\n' 2>/dev/null | sort
    cat /etc/nginx/chom.d/${id}.conf
    cat /etc/chom/php/${id}/* 2>/dev/null
    getent passwd ${id}; getent group ${id}
    systemctl is-active chom-php@${id}.service; systemctl is-enabled chom-php@${id}.service
    find /var/lib/chom/acme /var/lib/chom/staging /var/lib/chom/tmp /run/chom -mindepth 1 -name '*${id}*'
    systemctl list-units --all --no-legend --plain 'chom-*.service' | grep -c -v chom-php
    true`);
  if (exit !== 0) throw new Error(stderr);
  // Hashes and numbers that two sites cannot share: of the configuration's text, of the key pair, of the user.
  const version = /chom-version|return 200/;
  return stdout
    .replaceAll(id, '<site>')
    .replaceAll(domain, '<domain>')
    .replaceAll(/\/pairs\/[0-9a-f]{16}/g, '/pairs/<pair>')
    .replaceAll(/\b2\d{4}\b/g, '<uid>')
    .split('\n')
    .filter((line) => !version.test(line))
    .join('\n');
}

async function create(domain: string, ...words: string[]): Promise<string> {
  await rig.lab.acme.setAddress(domain, { a: [web1.address] });
  const ran = await rig.chom('site', 'create', domain, '--server', 'web1', '--type', 'php', '--json', ...words);
  if (ran.exit !== 0) throw new Error(ran.stderr);
  return ran.json?.operation ?? '';
}

async function eventsOf(operation: string): Promise<string[]> {
  return (await events.list(rig.inventory.db, { operation })).map(({ type }) => type);
}

test('[CH-01/provision-site] ends as an uninterrupted run would, with the worker killed after every step', async () => {
  await create('calm.lab.test', '--no-tls');
  const operation = await create('stormy.lab.test', '--no-tls', '--detach');
  const kills = await killAfterEveryStep(operation);
  expect(kills).toBeGreaterThanOrEqual(8);

  const { db } = rig.inventory;
  expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
  expect(await eventsOf(operation)).toEqual(['SiteProvisioned']);
  expect(await places.find(db, operation)).toBeNull();
  const [calm, stormy] = await Promise.all([
    sites.byDomain(db, 'calm.lab.test'),
    sites.byDomain(db, 'stormy.lab.test'),
  ]);
  expect(stormy).toMatchObject({ status: 'active', php: calm.php });
  expect(await siteOnHost(stormy.id, stormy.domain)).toBe(await siteOnHost(calm.id, calm.domain));
  const visit = await rig.fetch('stormy.lab.test', { address: web1.address, https: false });
  expect(visit.status).toBe(200);
  await rig.replayed(operation);
}, 900_000);

test('[CH-01/issue-certificate] ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const calmly = await rig.chom('certificate', 'issue', 'calm.lab.test', '--json');
  expect(calmly.exit).toBe(0);
  const asked = await rig.chom('certificate', 'issue', 'stormy.lab.test', '--detach', '--json');
  const operation = asked.json?.operation ?? '';
  const kills = await killAfterEveryStep(operation);
  expect(kills).toBeGreaterThanOrEqual(14);

  expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
  expect(await eventsOf(operation)).toEqual(['CertificateIssued']);
  const [calm, stormy] = await Promise.all([
    sites.byDomain(db, 'calm.lab.test'),
    sites.byDomain(db, 'stormy.lab.test'),
  ]);
  expect(await siteOnHost(stormy.id, stormy.domain)).toBe(await siteOnHost(calm.id, calm.domain));
  const visit = await rig.fetch('stormy.lab.test', { address: web1.address });
  expect(visit.status).toBe(200);
  // Ordered once: what is served is the only certificate there is.
  const known = await certificates.list(db, { site: stormy.id });
  expect(known).toHaveLength(1);
  expect(visit.certificate?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(known[0]?.fingerprint);
  await rig.replayed(operation);
}, 900_000);
