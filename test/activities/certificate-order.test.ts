import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PlacedOrder } from '../../src/activities/certificate-order.js';
import * as certificates from '../../src/inventory/certificates.js';
import { failureOf, onDatabase } from '../inventory/databases.js';
import { acmeSteps, plan } from './acme-steps.js';
import { type FakeAuthority, problem } from './fake-authority.js';
import { selfSigned } from './self-signed.js';

const REQUEST = '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n';

type Worker = ReturnType<Awaited<ReturnType<typeof acmeSteps>>['worker']>;

onDatabase('sqlite', 'the steps at an authority', (database) => {
  let fake: FakeAuthority;
  let perform: Worker;

  beforeEach(async () => {
    const made = await acmeSteps(database);
    fake = made.fake;
    perform = made.worker();
  });

  afterEach(async () => {
    await fake.close();
  });

  const posts = (endpoint: Parameters<FakeAuthority['posts']>[0]) => fake.posts(endpoint).length;

  test.each([
    ['rateLimited', 429, 'RateLimited'],
    ['rejectedIdentifier', 400, 'CertificateRefused'],
    ['caa', 403, 'DomainNotPointed'],
    ['serverInternal', 500, 'AuthorityError'],
  ])('an order refused as %s fails as such, after one request', async (type, status, expected) => {
    fake.next('newOrder', problem(status, type, 'CAA record "issue other.test" at a.test', { 'retry-after': '7' }));
    const failed = await failureOf(perform('placeOrder', 1, ['a.test']));
    expect(failed).toMatchObject({ type: expected, details: { retryAfterSeconds: 7 } });
    expect(failed.message).toContain('CAA record "issue other.test" at a.test');
    expect(posts('newOrder')).toBe(1);
  });

  test('an authority that is away is said to be', async () => {
    await perform('prepareAcmeAccount', 1);
    fake.next('newOrder', 'lost');
    expect(await failureOf(perform('placeOrder', 1, ['a.test']))).toMatchObject({ type: 'AuthorityUnreachable' });
  });

  describe('challenges', () => {
    test('that are answered or being looked at are not asked for again', async () => {
      const order = await perform('placeOrder', 1, ['a.test']);
      const [challenge] = await perform('readChallenges', 1, order);
      expect(challenge).toMatchObject({
        name: 'a.test',
        token: 'token-0',
        content: expect.stringMatching(/^token-0\./),
      });
      await perform('acceptChallenges', 1, order);
      expect(posts('challenge')).toBe(1);
      fake.state.challenge = 'processing';
      await perform('acceptChallenges', 1, order);
      fake.state.authorization = 'valid';
      await perform('acceptChallenges', 1, order);
      expect(posts('challenge')).toBe(1);
      expect(await perform('readChallenges', 1, order)).toEqual([]);
    });

    test('whose acceptance was not acknowledged are looked at first', async () => {
      const order = await perform('placeOrder', 1, ['a.test']);
      fake.next('challenge', 'lost');
      expect(await failureOf(perform('acceptChallenges', 1, order))).toMatchObject({
        type: 'AuthorityUnreachable',
      });
      fake.state.challenge = 'processing';
      await perform('acceptChallenges', 2, order);
      expect(posts('challenge')).toBe(1);
    });
  });

  describe('an order', () => {
    let order: PlacedOrder;

    beforeEach(async () => {
      order = await perform('placeOrder', 1, ['a.test']);
    });

    const become = (status: string, error?: unknown) => Object.assign(fake.orders[0] ?? {}, { status, error });

    test('says how far it is and when to ask again', async () => {
      become('processing');
      fake.state.orderHeaders = { 'retry-after': '3' };
      expect(await perform('readOrder', 1, order)).toEqual({ status: 'processing', retryAfterSeconds: 3 });
    });

    test('that failed is told in the words of the authority, and in a later attempt is lost', async () => {
      become('invalid');
      fake.state.authorization = 'invalid';
      fake.state.challengeError = {
        type: 'urn:ietf:params:acme:error:unauthorized',
        detail: '203.0.113.9: Invalid response: 404',
      };
      const failed = await failureOf(perform('readOrder', 1, order));
      expect(failed).toMatchObject({ type: 'ValidationFailed' });
      expect(failed.message).toContain('a.test: unauthorized: 203.0.113.9: Invalid response: 404');
      expect(await perform('readOrder', 2, order)).toEqual({ status: 'lost', retryAfterSeconds: null });
    });

    test('that the authority gave up is told by its own error', async () => {
      become('invalid', { type: 'urn:ietf:params:acme:error:badCSR', detail: 'the key is weak' });
      expect(await failureOf(perform('readOrder', 1, order))).toMatchObject({ type: 'CertificateRefused' });
    });

    test('that the authority does not know is lost in a later attempt', async () => {
      fake.next('order', problem(404, 'malformed', 'no such order'));
      expect(await failureOf(perform('readOrder', 1, order))).toMatchObject({ type: 'AuthorityError' });
      fake.next('order', problem(404, 'malformed', 'no such order'));
      expect(await perform('readOrder', 2, order)).toMatchObject({ status: 'lost' });
    });

    test('is finalized when it is ready, and once', async () => {
      expect(await perform('finalizeOrder', 1, order, REQUEST)).toMatchObject({ status: 'pending' });
      expect(posts('finalize')).toBe(0);
      become('ready');
      fake.next('finalize', 'lost');
      expect(await failureOf(perform('finalizeOrder', 1, order, REQUEST))).toMatchObject({
        type: 'AuthorityUnreachable',
      });
      expect(await perform('finalizeOrder', 2, order, REQUEST)).toMatchObject({ status: 'processing' });
      expect(posts('finalize')).toBe(1);
    });

    test('that is not quite ready is waited for', async () => {
      become('ready');
      fake.next('finalize', problem(403, 'orderNotReady', 'not yet'));
      expect(await perform('finalizeOrder', 1, order, REQUEST)).toMatchObject({ status: 'ready' });
    });

    test('gives a certificate that is kept, the same one however often it is fetched', async () => {
      become('valid');
      fake.state.certificate = (await selfSigned(['a.test', 'www.a.test'], 45)).cert;
      const { id } = await perform('downloadCertificate', 1, plan, order, ['a.test']);
      expect(await perform('downloadCertificate', 2, plan, order, ['a.test'])).toEqual({ id });
      const kept = await certificates.byId(database.inventory.db, id);
      expect(kept).toMatchObject({ state: 'issued', names: ['a.test', 'www.a.test'], chain: fake.state.certificate });
      expect(Date.parse(kept.notAfter) - Date.parse(kept.notBefore)).toBe(45 * 86_400_000);
    });

    test.each([
      ['is for other names', ['other.test'], 45, 'CertificateRefused'],
      ['has ended', ['a.test'], -1, 'CertificateRefused'],
    ])('whose certificate %s is refused', async (_, names, days, type) => {
      become('valid');
      fake.state.certificate = (await selfSigned(names, days)).cert;
      expect(await failureOf(perform('downloadCertificate', 1, plan, order, ['a.test']))).toMatchObject({ type });
    });

    test('that answers with something else than a certificate is an error of the authority', async () => {
      become('valid');
      expect(await failureOf(perform('downloadCertificate', 1, plan, order, ['a.test']))).toMatchObject({
        type: 'AuthorityError',
      });
    });

    test('never puts a certificate in the place of a better one, unless it is asked to', async () => {
      become('valid');
      fake.state.certificate = (await selfSigned(['a.test'], 60)).cert;
      const { id } = await perform('downloadCertificate', 1, plan, order, ['a.test']);
      await database.inventory.transaction(async (trx) => await certificates.markInstalled(trx, id));
      fake.state.certificate = (await selfSigned(['a.test'], 6)).cert;
      const worse = perform('downloadCertificate', 1, plan, order, ['a.test']);
      expect(await failureOf(worse)).toMatchObject({ type: 'CertificateRefused' });
      await perform('downloadCertificate', 1, { ...plan, force: true }, order, ['a.test']);
    });
  });
});
