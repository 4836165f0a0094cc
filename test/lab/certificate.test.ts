import { afterAll, beforeAll, expect, test } from 'vitest';
import * as certificates from '../../src/inventory/certificates.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import { waitsOf } from '../workflows/timers.js';
import { type Rig, startRig } from './rig.js';
import { type Told, toldOf } from './told.js';

let rig: Rig;
let told: Told;
beforeAll(async () => {
  rig = await startRig({ hosts: [{ name: 'web1' }], acme: true });
  await rig.startWorker();
  told = await toldOf(rig);
  await rig.enrol(rig.lab.host('web1'));
});
afterAll(async () => {
  await rig?.down();
  await told?.close();
});

const address = () => rig.lab.host('web1').address;
const point = async (...names: string[]) => {
  for (const name of names) await rig.lab.acme.setAddress(name, { a: [address()] });
};
const create = async (domain: string, ...words: string[]) =>
  await rig.chom.must('site', 'create', domain, '--server', 'web1', ...words, '--json');
const allEvents = async () => (await events.list(rig.inventory.db)).map(({ operation, type }) => ({ operation, type }));

test('[PS-04] [JC-05] [IS-03] [IS-04] a new site gets its certificate as soon as it is live', async () => {
  await point('shop.lab.test');
  const earlier = await allEvents();
  const { json } = await create('shop.lab.test');
  expect(json).toMatchObject({ status: 'succeeded', warnings: [], site: { status: 'active', tls: true } });
  const operation = json?.operation ?? '';
  // The site was live before its certificate was asked for, and each says so once.
  expect((await allEvents()).slice(earlier.length)).toEqual([
    { operation, type: 'SiteProvisioned' },
    { operation: `${operation}/certificate`, type: 'CertificateIssued' },
  ]);
  const child = await operations.byId(rig.inventory.db, `${operation}/certificate`);
  expect(child).toMatchObject({ kind: 'issue-certificate', parent: operation, root: operation, outcome: 'succeeded' });

  // Trusted by the authority's root alone, for this name, and it is the recorded one.
  const { status, certificate } = await rig.fetch('shop.lab.test', { address: address() });
  expect(status).toBe(200);
  const shown = json?.certificate;
  expect(certificate?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(shown?.fingerprint);
  expect(certificate?.subjectAltName).toBe('DNS:shop.lab.test');
  const [from, until] = [Date.parse(certificate?.validFrom ?? ''), Date.parse(certificate?.validTo ?? '')];
  expect(Date.parse(shown?.notAfter ?? '')).toBe(until);
  // The authority gives a second less than 90 days: a computed date would show.
  expect(until - from).toBe((90 * 86_400 - 1) * 1000);
  for (const one of [operation, `${operation}/certificate`]) await rig.replayed(one);
});

test('[IS-01] [EV-01/CertificateIssued] a live site gets one when asked, with its aliases in it', async () => {
  await point('late.lab.test', 'www.late.lab.test');
  await create('late.lab.test', '--no-tls', '--alias', 'www.late.lab.test', '--alias', 'dead.late.lab.test');
  const asked = await rig.chom('certificate', 'issue', 'late.lab.test', '--detach', '--json');
  expect(asked).toMatchObject({ exit: 0, json: { status: 'running' } });
  const operation = asked.json?.operation ?? '';
  expect(operation).toMatch(/^issue-certificate-/);
  const { exit, json } = await rig.chom('op', 'watch', operation, '--json');
  expect(exit).toBe(0);
  expect(json?.warnings).toEqual([expect.stringContaining('dead.late.lab.test does not resolve')]);
  for (const name of ['late.lab.test', 'www.late.lab.test']) {
    const { certificate } = await rig.fetch(name, { address: address() });
    const names = certificate?.subjectAltName?.split(', ').toSorted();
    expect(names).toEqual(['DNS:late.lab.test', 'DNS:www.late.lab.test']);
  }
  const [only, ...more] = await events.list(rig.inventory.db, { operation });
  expect(more).toEqual([]);
  expect(only).toMatchObject({ type: 'CertificateIssued', data: { names: ['late.lab.test', 'www.late.lab.test'] } });
  // A second one is not asked for while this one is good.
  const before = (await rig.fetch('late.lab.test', { address: address() })).certificate?.serialNumber;
  await rig.chom.must('certificate', 'issue', 'late.lab.test');
  expect((await rig.fetch('late.lab.test', { address: address() })).certificate?.serialNumber).toBe(before);
});

test('[IS-05] a new site whose name leads elsewhere is live without a certificate, and says which record to fix', async () => {
  await rig.lab.acme.setAddress('away.lab.test', { a: ['198.19.255.1'] });
  const { json } = await create('away.lab.test');
  expect(json).toMatchObject({ status: 'succeeded', site: { status: 'active' }, certificate: null });
  expect(json?.warnings).toEqual([expect.stringContaining('A record 198.19.255.1')]);
  expect(json?.warnings?.[0]).toContain('chom certificate issue away.lab.test');
  expect(await rig.fetch('away.lab.test', { address: address(), https: false })).toMatchObject({ status: 200 });
});

test('[IS-05] [IS-08] [FS-09] [EV-01/CertificateFailed] asked for again it fails, and the site stays up', async () => {
  const { exit, stderr, json } = await rig.chom('certificate', 'issue', 'away.lab.test', '--json');
  expect(exit).toBe(1);
  expect(json?.error).toMatchObject({ type: 'DomainNotPointed' });
  expect(json?.error?.cause).toBe(`Point the A record of away.lab.test at the server (${address()}).`);
  expect(stderr).toContain('198.19.255.1');
  const emitted = await events.list(rig.inventory.db, { operation: json?.operation ?? '' });
  expect(emitted.map(({ type }) => type)).toEqual(['CertificateFailed', 'Alert']);
  const shown = await rig.chom('site', 'show', 'away.lab.test', '--json');
  expect(shown.json).toMatchObject({ site: { status: 'active' }, certificate: null });
  expect(await rig.fetch('away.lab.test', { address: address(), https: false })).toMatchObject({ status: 200 });
  expect(waitsOf(await rig.replayed(json?.operation ?? ''), 240)).toEqual([]);
});

test('[IS-05] a site that had a certificate keeps it when its name leads elsewhere', async () => {
  const before = await rig.fetch('shop.lab.test', { address: address() });
  await rig.lab.acme.setAddress('shop.lab.test', { a: ['198.19.255.1'] });
  const { exit } = await rig.chom('certificate', 'issue', 'shop.lab.test');
  expect(exit).toBe(1);
  const after = await rig.fetch('shop.lab.test', { address: address() });
  expect(after.certificate?.fingerprint256).toBe(before.certificate?.fingerprint256);
  const { id } = (await rig.chom('site', 'show', 'shop.lab.test', '--json')).json?.site ?? { id: '' };
  expect(await certificates.installed(rig.inventory.db, id)).toMatchObject({ state: 'installed' });
});

test('[EV-01/CertificateIssued] [EV-01/CertificateFailed] [EV-01/webhooks] a webhook was told of each once, in order', async () => {
  expect(await told.all()).toEqual(expect.arrayContaining(['CertificateIssued', 'CertificateFailed']));
});
