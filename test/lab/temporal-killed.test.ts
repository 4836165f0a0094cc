import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import { holdPublishing } from './held.js';
import type { Running } from './rig-command.js';
import { startRig, type Rig } from './rig.js';
import { eventsOf, stepsDone } from './storm.js';

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }] });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => await rig?.down());

const create = (domain: string) =>
  rig.chom.start(...['site', 'create', domain, '--server', 'web1', '--type', 'php', '--no-tls', '--json']);

/** The operation that makes the site, once it is asked for. */
async function making(domain: string): Promise<string> {
  return await poll(`${domain} is asked for`, 60_000, async () => {
    const site = (await sites.list(rig.inventory.db)).find((one) => one.domain === domain);
    if (!site) return undefined;
    const [row] = await operations.list(rig.inventory.db, { site: site.id });
    return row?.id;
  });
}

/** Kills Temporal as soon as the operation has done another step, each time, until it has ended. Returns after which. */
async function killAfterEachStep(operation: string): Promise<string[]> {
  const after: string[] = [];
  let seen = 0;
  await poll('the operation ends', 300_000, async () => {
    const done = await stepsDone(rig, operation);
    if (done.length > seen) {
      seen = done.length;
      after.push(done.at(-1) ?? '');
      await rig.killTemporal();
      await rig.startTemporal();
    }
    return (await operations.byId(rig.inventory.db, operation)).outcome !== null;
  });
  return after;
}

/** The files, processes and users of a site on its server, without its own name and numbers. */
async function siteOf(domain: string): Promise<string> {
  const { id } = await sites.byDomain(rig.inventory.db, domain);
  const { stdout } = await web1.exec(`
    find -H /srv/chom/${id} /etc/chom/php/${id} /etc/nginx/chom.d/${id}.conf /etc/systemd/system/chom-*@${id}.* -printf '%p %y %m %u:%g\\n' 2>/dev/null | sort
    getent group ${id} | cut -d: -f1,4
    systemctl list-units --all --no-legend --plain 'chom-*@${id}.*' | awk '{ print $1, $2, $3 }'
    systemctl list-units --all --no-legend --plain 'chom-*.service' | grep -c -v @`);
  return stdout.replaceAll(id, '<site>').replaceAll(domain, '<domain>');
}

async function isAsUninterrupted(domain: string, operation: string, running: Running): Promise<void> {
  const ran = await running.ended;
  expect([ran.exit, ran.stderr, ran.json?.status]).toEqual([0, expect.any(String), 'succeeded']);
  const { db } = rig.inventory;
  const row = await operations.byId(db, operation);
  expect(row).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
  expect(await eventsOf(rig, operation)).toEqual(['SiteProvisioned']);
  expect(await places.find(db, operation)).toBeNull();
  expect((await rig.fetch(domain, { address: web1.address, https: false })).status).toBe(200);
  expect(await siteOf(domain)).toBe(await siteOf('calm.lab.test'));
  // No attempt of a step was spent on it.
  expect((row.steps as { attempt: number }[]).map(({ attempt }) => attempt)).toEqual(row.steps.map(() => 1));
  await rig.replayed(operation);
}

test('[CH-02] Temporal is killed after each step and in the middle of one, and the operation ends as if it had not been', async () => {
  const calm = create('calm.lab.test');
  expect(await calm.ended).toMatchObject({ exit: 0 });
  const steps = await stepsDone(rig, await making('calm.lab.test'));

  const running = create('steps.lab.test');
  const operation = await making('steps.lab.test');
  const killed = await killAfterEachStep(operation);
  await isAsUninterrupted('steps.lab.test', operation, running);
  expect(await stepsDone(rig, operation)).toEqual(steps);
  // One that is over before its end is seen is none of them.
  expect(killed.length).toBeGreaterThanOrEqual(2);

  // The job on the host ends while nobody can be told of it; with the second site the worker dies too.
  for (const domain of ['middle.lab.test', 'both.lab.test']) {
    const both = domain.startsWith('both');
    const held = await holdPublishing(web1, async () => {
      const command = create(domain);
      await poll('its job waits for nginx', 120_000, async () => {
        return (await web1.exec("pgrep -x -f 'flock -w 240 9'")).exit === 0;
      });
      await rig.killTemporal();
      if (both) await rig.killWorker();
      return command;
    });
    const { id } = await sites.byDomain(rig.inventory.db, domain);
    await poll('the site is published', 60_000, async () => {
      return (await web1.exec(`test -e /etc/nginx/chom.d/${id}.conf`)).exit === 0;
    });
    expect(held.process.exitCode).toBeNull();
    await rig.startTemporal();
    if (both) await rig.startWorker();
    await isAsUninterrupted(domain, await making(domain), held);
  }
}, 480_000);
