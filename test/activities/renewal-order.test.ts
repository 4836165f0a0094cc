import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AcmeSilence } from '../../src/activities/acme-problem.js';
import { authorities } from '../../src/activities/authorities.js';
import { readCertificate } from '../../src/activities/certificate-facts.js';
import { askRenewalInfo, renewalInfoId } from '../../src/activities/renewal-info.js';
import { readConfig } from '../../src/config.js';
import * as certificates from '../../src/inventory/certificates.js';
import * as renewals from '../../src/inventory/renewals.js';
import * as sites from '../../src/inventory/sites.js';
import { failureOf, onDatabase } from '../inventory/databases.js';
import { acmeSteps, plan } from './acme-steps.js';
import { type FakeAuthority, fakeAuthority, problem } from './fake-authority.js';
import { selfSigned } from './self-signed.js';

const WINDOW = { start: '2026-03-01T00:00:00Z', end: '2026-03-02T00:00:00Z' };
const advice = { body: { suggestedWindow: WINDOW }, headers: { 'retry-after': '21600' } };

/** The example of RFC 9773 §4.1: its key identifier, and a serial number whose first bit is set. */
async function example(): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    serialNumber: '0087654321',
    name: 'CN=Example',
    notBefore: new Date('2026-01-01'),
    notAfter: new Date('2026-04-01'),
    signingAlgorithm: algorithm,
    extensions: [new x509.AuthorityKeyIdentifierExtension('69885b6b87464041e1b37b847ba0ae2cde01c8d4')],
  });
  return certificate.toString('pem');
}

test('an authority knows a certificate by what RFC 9773 says', async () => {
  expect(renewalInfoId(await example())).toBe('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
});

describe('when to renew', () => {
  let fake: FakeAuthority;
  let chain: string;
  beforeEach(async () => {
    fake = await fakeAuthority();
    chain = await example();
  });
  afterEach(async () => await fake.close());
  const ask = async (authority: string | null = fake.directory) =>
    await askRenewalInfo(authorities(readConfig({ CHOM_ACME_DIRECTORY: fake.directory })), { chain, authority });

  test('is asked of the authority that issued it, without a signature', async () => {
    fake.state.advice = { ...advice, body: { ...advice.body, explanationURL: 'https://ca.test/why' } };
    expect(await ask()).toEqual({
      window: { start: '2026-03-01T00:00:00.000Z', end: '2026-03-02T00:00:00.000Z' },
      explanation: 'https://ca.test/why',
      retryAfterSeconds: 21_600,
    });
    const [asked] = fake.received.filter(({ endpoint }) => endpoint === 'renewalInfo');
    expect(asked).toMatchObject({ method: 'GET', nonce: null });
  });

  test('is not asked of one that does not tell, or that CHOM does not know', async () => {
    expect(await ask()).toBeNull();
    fake.state.advice = advice;
    expect(await ask(null)).toBeNull();
    expect(await ask('https://elsewhere.test/dir')).toBeNull();
    expect(fake.received.filter(({ endpoint }) => endpoint === 'renewalInfo')).toEqual([]);
  });

  test.each([
    ['no window', {}],
    ['a window that ends before it begins', { suggestedWindow: { start: WINDOW.end, end: WINDOW.start } }],
    ['no times', { suggestedWindow: { start: 'soon', end: 'later' } }],
    ['no JSON', '<html>'],
  ])('is unknown where the answer holds %s', async (_, body) => {
    fake.state.advice = { body };
    await expect(ask()).rejects.toThrow('tells no window');
  });

  test('is unknown where no answer comes, or an error', async () => {
    fake.state.advice = advice;
    fake.next('renewalInfo', problem(503, 'serverInternal', 'busy'));
    await expect(ask()).rejects.toThrow('busy');
    fake.next('renewalInfo', 'lost');
    await expect(ask()).rejects.toBeInstanceOf(AcmeSilence);
  });
});

onDatabase('sqlite', 'the order of a renewal', (database) => {
  let fake: FakeAuthority;
  let other: FakeAuthority;
  let perform: ReturnType<Awaited<ReturnType<typeof acmeSteps>>['worker']>;
  let before: certificates.Certificate;
  const renewal = { certificate: 'c1', emergency: false, fallback: false };

  beforeEach(async () => {
    other = await fakeAuthority();
    const made = await acmeSteps(database, { CHOM_ACME_FALLBACK_DIRECTORY: other.directory });
    fake = made.fake;
    fake.state.advice = advice;
    perform = made.worker();
    await installedBy(fake.directory);
  });
  afterEach(async () => {
    await fake.close();
    await other.close();
  });

  async function installedBy(authority: string | null): Promise<void> {
    const { cert } = await selfSigned(['a.test'], 45);
    const facts = readCertificate(cert);
    await database.inventory.transaction(async (trx) => {
      await trx.deleteFrom('certificates').execute();
      before = await certificates.record(trx, { ...facts, id: 'c1', site: plan.site, chain: cert, authority });
      await certificates.markInstalled(trx, 'c1');
    });
  }

  const sitesLive = async () =>
    await database.inventory.transaction(async (trx) => await sites.activate(trx, plan.site));
  const asked = (at = fake) => at.posts('newOrder').map(({ payload }) => payload as { replaces?: string });
  const place = async (over: Partial<typeof renewal> = {}) =>
    await perform('placeOrder', 1, ['a.test'], { ...plan, renewal: { ...renewal, ...over } });

  test('names the certificate that it replaces, which no limit is held against', async () => {
    await place();
    expect(asked()).toMatchObject([{ replaces: renewalInfoId(before.chain) }]);
  });

  test.each([
    ['another authority issued', 'https://elsewhere.test/dir'],
    ['nobody knows who issued', null],
  ])('names none that %s', async (_, authority) => {
    await installedBy(authority);
    await place();
    await perform('placeOrder', 1, ['a.test'], plan);
    expect(asked().map(({ replaces }) => replaces)).toEqual([undefined, undefined]);
  });

  test.each([
    [409, 'alreadyReplaced'],
    [404, 'malformed'],
    [403, 'unauthorized'],
    [400, 'malformed'],
    [500, 'serverInternal'],
  ])('is placed again without it where the authority answers %i %s', async (status, type) => {
    fake.next('newOrder', problem(status, type, 'about the one to replace'));
    expect(await place()).toMatchObject({ url: expect.stringContaining('/order/') });
    expect(asked().map(({ replaces }) => replaces !== undefined)).toEqual([true, false]);
  });

  test('is placed once where it is refused for another reason', async () => {
    fake.next('newOrder', problem(429, 'rateLimited', 'too many', { 'retry-after': '3600' }));
    expect(await failureOf(place())).toMatchObject({ type: 'RateLimited', details: { retryAfterSeconds: 3600 } });
    expect(asked()).toHaveLength(1);
  });

  test('says until when it is to wait where the authority names a date', async () => {
    const until = new Date(Date.now() + 36 * 3_600_000).toUTCString();
    fake.next(
      'newOrder',
      problem(429, 'rateLimited', 'too many', { 'retry-after': until, date: new Date().toUTCString() }),
    );
    const { details } = await failureOf(place());
    expect(details.retryAfterSeconds).toBeCloseTo(36 * 3600, -1);
  });

  test('names none for an account that had to be made again', async () => {
    await perform('prepareAcmeAccount', 1);
    fake.next('newOrder', problem(400, 'accountDoesNotExist', 'who are you?'));
    await place();
    expect(asked().map(({ replaces }) => replaces !== undefined)).toEqual([true, false]);
  });

  test('goes to the second authority with all that follows, where that is wanted', async () => {
    other.state.validation = 'valid';
    const order = await place({ fallback: true });
    expect(order).toMatchObject({ fallback: true });
    expect(asked(other)).toEqual([{ identifiers: [{ type: 'dns', value: 'a.test' }] }]);
    expect(fake.posts('newOrder')).toEqual([]);
    await perform('acceptChallenges', 1, order);
    expect(await perform('readOrder', 1, order)).toMatchObject({ status: 'ready' });
    const keys = await database.inventory.db.selectFrom('accounts').select('directory').execute();
    expect(keys).toEqual([{ directory: other.directory }]);
  });

  test('takes one that ends sooner only where the authority wants the valid one replaced, as one that it revoked', async () => {
    const order = await place();
    Object.assign(fake.orders[0] ?? {}, { status: 'valid' });
    fake.state.certificate = (await selfSigned(['a.test'], 7)).cert;
    const download = async () => await perform('downloadCertificate', 1, { ...plan, renewal }, order, ['a.test']);
    const { inventory } = database;
    await sitesLive();
    await renewals.complete(inventory);
    expect(await failureOf(download())).toMatchObject({ type: 'CertificateRefused' });
    await inventory.transaction(async (trx) => {
      const [owed] = await renewals.list(trx, { site: plan.site });
      const window = { start: '2026-01-01T00:00:00.000Z', end: '2026-01-02T00:00:00.000Z' };
      if (owed) await renewals.recordWindow(trx, owed, { window, explanation: null, askAt: window.end });
    });
    expect(await certificates.byId(inventory.db, (await download()).id)).toMatchObject({ state: 'issued' });
  });

  test('remembers which authority gave the certificate', async () => {
    const order = await place();
    Object.assign(fake.orders[0] ?? {}, { status: 'valid' });
    fake.state.certificate = (await selfSigned(['a.test'], 90)).cert;
    const { id } = await perform('downloadCertificate', 1, plan, order, ['a.test']);
    expect(await certificates.byId(database.inventory.db, id)).toMatchObject({ authority: fake.directory });
  });
});

test('there is no second authority where none is set up', async () => {
  const known = authorities(readConfig({ CHOM_ACME_DIRECTORY: 'http://127.0.0.1:9/dir' }));
  expect(await failureOf(known.get(true))).toMatchObject({
    type: 'InvalidInput',
    details: { next: expect.stringContaining('CHOM_ACME_FALLBACK_DIRECTORY') },
  });
});
