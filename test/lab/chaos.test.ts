import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../lab/index.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import type { Ran } from './rig-command.js';
import { startRig, type Rig } from './rig.js';

const ROUNDS = 3;

let rig: Rig;
let web1: LabHost;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  web1 = rig.lab.host('web1');
  await rig.startWorker();
  // Nobody sends mail here: without a relay each site would say so.
  await rig.enrol(web1, '--smtp-relay', '127.0.0.1');
});
afterAll(async () => await rig?.down());

/** The activities that Temporal has recorded as done, in order. */
async function stepsDone(operation: string): Promise<string[]> {
  const handle = rig.temporal.workflow.getHandle(operation);
  const { events: recorded } = await handle.fetchHistory().catch(() => ({ events: [] }));
  const names = new Map(
    (recorded ?? []).map((event) => [
      String(event.eventId),
      event.activityTaskScheduledEventAttributes?.activityType?.name,
    ]),
  );
  return (recorded ?? []).flatMap(({ activityTaskCompletedEventAttributes: done }) =>
    done ? [names.get(String(done.scheduledEventId)) ?? ''] : [],
  );
}

/**
 * SIGKILLs the worker each time that another step of the operation is done, and starts the next one, to the end.
 * Returns the steps after which it was killed; one that was done before it could be seen is missing.
 */
async function killAfterEveryStep(operation: string): Promise<string[]> {
  const killed: string[] = [];
  let seen = 0;
  const deadline = Date.now() + 900_000;
  await rig.startWorker();
  for (;;) {
    if (Date.now() > deadline) throw new Error(`${operation} has not ended after ${killed.length} kills`);
    const done = await stepsDone(operation);
    if (done.length === seen) {
      const { outcome } = await operations.byId(rig.inventory.db, operation);
      if (outcome !== null && done.at(-1) === 'concludeOperation') return killed;
      continue;
    }
    await rig.killWorker();
    seen = done.length;
    killed.push(done.at(-1) ?? '');
    await rig.startWorker();
  }
}

/** All that a site is on its server, with its own names taken out, so that two sites can be compared. */
async function siteOf(domain: string): Promise<string> {
  const { id } = await sites.byDomain(rig.inventory.db, domain);
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

async function create(domain: string): Promise<string> {
  await rig.lab.acme.setAddress(domain, { a: [web1.address] });
  const words = ['site', 'create', domain, '--server', 'web1', '--type', 'php', '--no-tls', '--json'];
  return operationOf(await rig.chom(...words));
}

/** Also of a command that found no worker: what was asked for starts when one comes. */
function operationOf({ json, stderr }: Ran): string {
  if (!json?.operation) throw new Error(stderr);
  return json.operation;
}

/**
 * Does the same again on new sites until the worker was killed after each step that `calm` had: a step may be over
 * before its end is seen.
 */
async function killAll(calm: string, ask: (round: number) => Promise<string>): Promise<string[]> {
  const wanted = new Set(await stepsDone(calm));
  const made: string[] = [];
  for (let round = 1; wanted.size > 0 && round <= ROUNDS; round += 1) {
    // Asked for while no worker runs, so that the first step is seen too.
    await rig.killWorker();
    const operation = await ask(round);
    made.push(operation);
    for (const step of await killAfterEveryStep(operation)) wanted.delete(step);
  }
  expect([...wanted]).toEqual([]);
  return made;
}

async function eventsOf(operation: string): Promise<string[]> {
  return (await events.list(rig.inventory.db, { operation })).map(({ type }) => type);
}

test('[CH-01/provision-site] ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const calm = await create('calm.lab.test');
  const untouched = await siteOf('calm.lab.test');
  const made = await killAll(calm, async (round) => await create(`stormy${round}.lab.test`));
  for (const [index, operation] of made.entries()) {
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(operation)).toEqual(['SiteProvisioned']);
    expect(await places.find(db, operation)).toBeNull();
    const domain = `stormy${index + 1}.lab.test`;
    expect(await siteOf(domain)).toBe(untouched);
    expect(await sites.byDomain(db, domain)).toMatchObject({ status: 'active' });
    expect((await rig.fetch(domain, { address: web1.address, https: false })).status).toBe(200);
    await rig.replayed(operation);
  }
}, 1_200_000);

test('[CH-01/issue-certificate] ends as an uninterrupted run would, with the worker killed after every step', async () => {
  const { db } = rig.inventory;
  const calm = operationOf(await rig.chom('certificate', 'issue', 'calm.lab.test', '--json'));
  for (let round = 1; round <= ROUNDS; round += 1) await create(`tls${round}.lab.test`);
  const untouched = await siteOf('calm.lab.test');
  const issue = async (round: number) =>
    operationOf(await rig.chom('certificate', 'issue', `tls${round}.lab.test`, '--json'));
  const made = await killAll(calm, issue);
  for (const [index, operation] of made.entries()) {
    expect(await operations.byId(db, operation)).toMatchObject({ outcome: 'succeeded', warnings: [], committed: true });
    expect(await eventsOf(operation)).toEqual(['CertificateIssued']);
    const domain = `tls${index + 1}.lab.test`;
    expect(await siteOf(domain)).toBe(untouched);
    const visit = await rig.fetch(domain, { address: web1.address });
    expect(visit.status).toBe(200);
    // Ordered once: what is served is the only certificate there is.
    const known = await certificates.list(db, { site: (await sites.byDomain(db, domain)).id });
    expect(known).toHaveLength(1);
    expect(visit.certificate?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(known[0]?.fingerprint);
    await rig.replayed(operation);
  }
}, 1_200_000);
