import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AcmeProblem, AcmeSilence } from '../../src/activities/acme-problem.js';
import { directoryUrl } from '../../src/activities/acme-directory.js';
import { type Account, type Authority, openAuthority } from '../../src/activities/authority.js';
import { type FakeAuthority, fakeAuthority, problem } from './fake-authority.js';

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
// Any PEM does: what is inside is the authority's to read.
const csr = '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n';

let fake: FakeAuthority;
let authority: Authority;
let account: Account;

beforeEach(async () => {
  fake = await fakeAuthority();
  authority = await openAuthority({ directory: fake.directory });
  account = { key, url: await authority.register(key, 'ops@example.test') };
});

afterEach(async () => {
  await fake.close();
});

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a rate limit', () => {
  test.each([
    ['seconds', { 'retry-after': '3600' }],
    ['a date', { 'retry-after': 'Mon, 23 Nov 2026 13:00:00 GMT', date: 'Mon, 23 Nov 2026 12:00:00 GMT' }],
  ])('arrives at once and typed, with its wait as %s, after one request', async (_, headers) => {
    fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', headers));
    const error = await thrownBy(authority.order(account, ['a.test']));
    expect(error).toBeInstanceOf(AcmeProblem);
    expect(error).toMatchObject({
      problem: { type: 'rateLimited', detail: 'too many orders' },
      retryAfterSeconds: 3600,
    });
    expect(fake.posts('newOrder')).toHaveLength(1);
  });

  test('leaves no nonce behind that is used twice', async () => {
    fake.next('newOrder', problem(429, 'rateLimited', 'too many orders', { 'retry-after': '1' }));
    await thrownBy(authority.order(account, ['a.test']));
    await authority.order(account, ['a.test']);
    const nonces = fake.received.flatMap(({ nonce }) => (nonce === null ? [] : [nonce]));
    expect(new Set(nonces).size).toBe(nonces.length);
  });
});

test('an error of the edge is no ACME problem, and keeps its wait', async () => {
  fake.next('newOrder', { status: 503, headers: { 'retry-after': '30' }, body: '<html>busy</html>' });
  const error = await thrownBy(authority.order(account, ['a.test']));
  expect(error).toMatchObject({ problem: { type: 'unknown' }, status: 503, retryAfterSeconds: 30 });
});

test('a lost reply is told from a refusal, and is not sent again behind our back', async () => {
  fake.next('newOrder', 'lost');
  expect(await thrownBy(authority.order(account, ['a.test']))).toBeInstanceOf(AcmeSilence);
  expect(fake.orders).toHaveLength(1);
});

test('an authority that is not there is one that does not answer', async () => {
  const gone = await openAuthority({ directory: fake.directory });
  await fake.close();
  expect(await thrownBy(gone.register(key, null))).toBeInstanceOf(AcmeSilence);
});

test('something else than a directory is refused', async () => {
  fake.next('directory', { status: 200, body: '<html>hello</html>' });
  const other = await openAuthority({ directory: fake.directory });
  expect(await thrownBy(other.register(key, null))).toBeInstanceOf(Error);
});

test('a refused nonce is replaced by the one that came with the refusal', async () => {
  fake.next('newOrder', problem(400, 'badNonce', 'too old'));
  expect(await authority.order(account, ['a.test'])).toMatchObject({ status: 'pending' });
  expect(fake.posts('newOrder')).toHaveLength(2);
});

test('a redirect is not followed', async () => {
  fake.next('newOrder', { status: 302, headers: { location: fake.directory } });
  expect(await thrownBy(authority.order(account, ['a.test']))).toMatchObject({ status: 302 });
});

test('each reply brings the nonce of the next request', async () => {
  const order = await authority.order(account, ['a.test', 'b.test']);
  const asked = fake.received.filter(({ endpoint }) => endpoint === 'nonce').length;
  await authority.challenges(account, order);
  await authority.orderAt(account, order.url);
  expect(fake.received.filter(({ endpoint }) => endpoint === 'nonce')).toHaveLength(asked);
  expect(fake.received.every(({ userAgent }) => userAgent.startsWith('chom'))).toBe(true);
});

test('an order is found again by its URL, with when to ask again', async () => {
  const { url } = await authority.order(account, ['a.test']);
  const body = {
    status: 'processing',
    identifiers: [{ type: 'dns', value: 'a.test' }],
    authorizations: [],
    finalize: 'x',
  };
  fake.next('order', { status: 200, headers: { 'retry-after': '5' }, body });
  expect(await authority.orderAt(account, url)).toMatchObject({ status: 'processing', retryAfterSeconds: 5 });
  expect(await authority.orderAt(account, url)).toMatchObject({
    status: 'pending',
    retryAfterSeconds: null,
    names: ['a.test'],
  });
});

test('challenges are those over HTTP, with what to serve and why they failed', async () => {
  const order = await authority.order(account, ['a.test']);
  fake.state.authorization = 'invalid';
  fake.state.challengeError = {
    type: 'urn:ietf:params:acme:error:connection',
    detail: '198.18.0.9: Connection refused',
  };
  const [challenge, ...others] = await authority.challenges(account, order);
  expect(others).toEqual([]);
  expect(challenge).toMatchObject({ name: 'a.test', token: 'token-0', authorization: 'invalid' });
  expect(challenge?.problem).toEqual({ type: 'connection', detail: '198.18.0.9: Connection refused' });
  expect(challenge?.keyAuthorization).toMatch(/^token-0\.[A-Za-z0-9_-]{43}$/);
});

test('a token that would be a path is refused', async () => {
  const order = await authority.order(account, ['a.test']);
  const challenges = [{ type: 'http-01', url: 'x', token: '../../etc/passwd', status: 'pending' }];
  fake.next('authz', {
    status: 200,
    body: { status: 'pending', identifier: { type: 'dns', value: 'a.test' }, challenges },
  });
  expect(await thrownBy(authority.challenges(account, order))).toBeInstanceOf(Error);
});

test('finalizing too early is told from failing', async () => {
  const order = await authority.order(account, ['a.test']);
  expect(await thrownBy(authority.finalize(account, order, csr))).toMatchObject({ problem: { type: 'orderNotReady' } });
});

test("an account that the authority forgot is told by the problem's type", async () => {
  expect(await authority.accountStatus(account, null)).toBe('valid');
  fake.state.accountKnown = false;
  const error = await thrownBy(authority.accountStatus(account, null));
  expect(error).toMatchObject({ problem: { type: 'accountDoesNotExist' } });
});

test('the known authorities have names', () => {
  expect(directoryUrl('letsencrypt')).toBe('https://acme-v02.api.letsencrypt.org/directory');
  expect(directoryUrl('letsencrypt-staging')).toBe('https://acme-staging-v02.api.letsencrypt.org/directory');
  expect(directoryUrl('https://ca.test/dir')).toBe('https://ca.test/dir');
});
