import { afterAll, beforeAll, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as operations from '../../src/inventory/operations.js';
import * as renewals from '../../src/inventory/renewals.js';
import { renewalId } from '../../src/inventory/renewal-tries.js';
import * as sites from '../../src/inventory/sites.js';
import { type Rig, startRig } from './rig.js';
import { eventsOf } from './storm.js';

const SHOP = 'shop.lab.test';
const ALIAS = 'www.shop.lab.test';

let rig: Rig;
let site: string;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  await rig.startWorker();
  await rig.enrol(rig.lab.host('web1'));
  for (const name of [SHOP, ALIAS]) await point(name);
  await rig.chom.must('site', 'create', SHOP, '--server', 'web1', '--alias', ALIAS);
  site = (await sites.byDomain(rig.inventory.db, SHOP)).id;
});
afterAll(async () => await rig?.down());

const address = () => rig.lab.host('web1').address;
const point = async (name: string, to = address()) => await rig.lab.acme.setAddress(name, { a: [to] });
const served = async (domain = SHOP) => {
  const { certificate } = await rig.fetch(domain, { address: address() });
  return certificate?.fingerprint256.replaceAll(':', '').toLowerCase();
};
const installed = async () => await certificates.installed(rig.inventory.db, site);
const owed = async () => {
  const all = await renewals.list(rig.inventory.db, { site });
  expect(all).toHaveLength(1);
  return all[0] as renewals.Owed;
};
const listed = async () => {
  const { json } = await rig.chom.must('certificate', 'list', '--json');
  const all = json?.['certificates'] as { site: string; notAfter: string; renewal: Record<string, unknown> }[];
  return all.find((one) => one.site === SHOP);
};
/** A worker sweeps when it starts, and then each minute. */
const sweepNow = async () => {
  await rig.stopWorker();
  await rig.startWorker();
};
const set = async (values: { due?: string; askAt?: string }) =>
  await rig.inventory.transaction(
    async (trx) => void (await trx.updateTable('renewals').set(values).where('site', '=', site).execute()),
  );
const ended = async (operation: string) => {
  const { db } = rig.inventory;
  await poll(
    `${operation} has ended`,
    120_000,
    async () => (await operations.find(db, operation))?.outcome ?? undefined,
  );
  return await operations.byId(db, operation);
};

test('[IS-09] a certificate that is due is renewed by the worker itself, and a visitor is shown the new one', async () => {
  const before = await installed();
  const shown = await listed();
  const [from, until] = [Date.parse(before?.notBefore ?? ''), Date.parse(before?.notAfter ?? '')];
  // Within a fiftieth of its lifetime around the point at which a third of it is left.
  const third = until - (until - from) / 3;
  expect(Math.abs(Date.parse(String(shown?.renewal['next'])) - third)).toBeLessThan((until - from) / 50);
  await set({ due: new Date().toISOString() });
  await sweepNow();
  const row = await ended(renewalId(site, 1));
  expect(row).toMatchObject({ kind: 'issue-certificate', outcome: 'succeeded', warnings: [], priority: 'low' });
  expect(await eventsOf(rig, row.id)).toEqual(['CertificateIssued']);
  const after = await installed();
  expect(after?.fingerprint).not.toBe(before?.fingerprint);
  expect(await served()).toBe(after?.fingerprint);
  expect(await owed()).toMatchObject({ certificate: after?.id, tries: 1, failures: 0 });
  expect(Date.parse((await owed()).due ?? '')).toBeGreaterThan(Date.now() + 50 * 86_400_000);
  await rig.replayed(row.id);
});

test('and sooner where the authority says so', async () => {
  const before = await installed();
  const past = { start: '2026-01-01T00:00:00Z', end: '2026-01-02T00:00:00Z' };
  const advice = JSON.stringify({ suggestedWindow: past, explanationURL: 'https://authority.test/why' });
  await rig.lab.acme.manage('set-renewal-info/', { Certificate: before?.chain, ARIResponse: advice });
  await set({ askAt: new Date().toISOString() });
  await sweepNow();
  expect(await ended(renewalId(site, 2))).toMatchObject({ outcome: 'succeeded', warnings: [] });
  const after = await installed();
  expect(after?.fingerprint).not.toBe(before?.fingerprint);
  expect(await served()).toBe(after?.fingerprint);
  // The new one is not what the authority spoke of.
  expect(await owed()).toMatchObject({ certificate: after?.id, tries: 2, explanation: null });
});

test('[IS-05] one whose name leads elsewhere is kept and served, says so, and is tried again in minutes', async () => {
  const before = await installed();
  await point(SHOP, '198.19.255.1');
  const { exit, json } = await rig.chom('certificate', 'renew', SHOP, '--json');
  expect(exit).toBe(1);
  expect(json?.error).toMatchObject({ type: 'DomainNotPointed' });
  const operation = json?.operation ?? '';
  expect(operation).toBe(renewalId(site, 3));
  expect(await eventsOf(rig, operation)).toEqual(['CertificateFailed', 'Alert']);
  // One attempt: it is the renewal that is tried again.
  expect((await operations.byId(rig.inventory.db, operation)).steps.at(-1)).toMatchObject({ attempt: 1 });
  expect(await installed()).toMatchObject({ id: before?.id });
  expect(await served()).toBe(before?.fingerprint);
  const { renewal } = (await listed()) ?? {};
  expect(renewal).toMatchObject({ operation, failing: { failures: 1, type: 'DomainNotPointed' } });
  await point(SHOP);
  await rig.chom.must('certificate', 'renew', SHOP);
  expect(await owed()).toMatchObject({ tries: 4, failures: 0, failureType: null });
  expect(await served()).not.toBe(before?.fingerprint);
});

test('keeps an alias that does not resolve for as long as there is time to mend that, and then does without it', async () => {
  const before = await installed();
  await rig.lab.acme.setAddress(ALIAS, {});
  const refused = await rig.chom('certificate', 'renew', SHOP, '--json');
  expect(refused.json?.error).toMatchObject({ type: 'DomainNotPointed' });
  expect(refused.json?.error?.message).toContain(`${ALIAS} does not resolve`);
  expect(await served()).toBe(before?.fingerprint);
  // As if it ended in an hour.
  const [notBefore, notAfter] = [-90 * 24, 1].map((hours) => new Date(Date.now() + hours * 3_600_000).toISOString());
  await rig.inventory.transaction(async (trx) => {
    const life = { notBefore: notBefore ?? '', notAfter: notAfter ?? '' };
    await trx
      .updateTable('certificates')
      .set(life)
      .where('id', '=', before?.id ?? '')
      .execute();
  });
  const { json } = await rig.chom.must('certificate', 'renew', '--due', '--json');
  expect(json).toMatchObject({ operations: [], left: 0 });
  const { stdout } = await rig.chom.must('certificate', 'renew', SHOP, '--json');
  expect(JSON.parse(stdout)).toMatchObject({ warnings: [expect.stringContaining(`${ALIAS} does not resolve`)] });
  const after = await installed();
  expect(after?.names).toEqual([SHOP]);
  expect(await served()).toBe(after?.fingerprint);
  expect(await operations.byId(rig.inventory.db, renewalId(site, (await owed()).tries))).toMatchObject({
    priority: 'high',
  });
});

test('one that has ended, and is shown to every visitor, is told of by the doctor and renewed by the worker like any other', async () => {
  await point(ALIAS);
  const before = await installed();
  const host = rig.lab.host('web1');
  const ending = `cd /var/lib/chom/tls/${site}/current && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out fullchain.pem \\
  -not_before 20250101000000Z -not_after 20250401000000Z -subj / -addext subjectAltName=DNS:${SHOP},DNS:${ALIAS} && chmod 600 key.pem && systemctl reload nginx`;
  expect(await host.exec(ending)).toMatchObject({ exit: 0 });
  const life = { notBefore: '2025-01-01T00:00:00.000Z', notAfter: '2025-04-01T00:00:00.000Z' };
  await rig.inventory.transaction(async (trx) => {
    const own = trx.updateTable('certificates').set(life);
    await own.where('id', '=', before?.id ?? '').execute();
  });
  const wrong = async () => {
    const { json } = await rig.chom('site', 'doctor', SHOP, '--json');
    const checks = (json?.['checks'] ?? []) as { name: string; state: string; message: string }[];
    return checks.filter(({ state }) => state === 'wrong');
  };
  const ends = { name: 'certificate', message: expect.stringContaining('is not valid for all of') };
  await poll('nginx has been told', 60_000, async () => (await wrong()).some(({ name }) => name === 'certificate'));
  expect(await wrong()).toContainEqual(expect.objectContaining(ends));
  const { tries } = await owed();
  await set({ due: '2025-03-01T00:00:00.000Z' });
  await sweepNow();
  expect(await ended(renewalId(site, tries + 1))).toMatchObject({ outcome: 'succeeded', priority: 'high' });
  const after = await installed();
  expect(after?.id).not.toBe(before?.id);
  expect(await served()).toBe(after?.fingerprint);
  expect((await wrong()).filter(({ name }) => name === 'certificate')).toEqual([]);
});
