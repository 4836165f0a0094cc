import { afterEach, expect, test } from 'vitest';
import { post } from '../../src/delivery/post.js';
import { httpReceiver, type HttpReceiver } from './receiver.js';

let receiver: HttpReceiver | undefined;
afterEach(async () => {
  await receiver?.close();
  receiver = undefined;
});

const send = async (url: string, more: { allowPrivate?: boolean; timeoutMilliseconds?: number } = {}) =>
  await post({
    url,
    headers: { 'x-one': '1' },
    body: 'bödy',
    allowPrivate: true,
    timeoutMilliseconds: 20_000,
    ...more,
  });

test('a 2xx alone is a success, and what was sent arrives as it is', async () => {
  receiver = await httpReceiver((response) => response.writeHead(204).end());
  expect(await send(receiver.url)).toEqual({ ok: true });
  expect(receiver.received).toEqual([{ headers: expect.objectContaining({ 'x-one': '1' }), body: 'bödy' }]);
});

test('a redirect is not followed', async () => {
  receiver = await httpReceiver((response) => response.writeHead(302, { location: '/elsewhere' }).end());
  expect(await send(receiver.url)).toEqual({ ok: false, reason: 'it answered 302' });
  expect(receiver.received).toHaveLength(1);
});

test('an error is told with the first line of what was said, and no answer is read without end', async () => {
  receiver = await httpReceiver((response) => response.writeHead(500).end(`not today\n${'x'.repeat(1_000_000)}`));
  expect(await send(receiver.url)).toEqual({ ok: false, reason: 'it answered 500: not today' });
});

test('a receiver that is gone for good says so', async () => {
  receiver = await httpReceiver((response) => response.writeHead(410).end());
  expect(await send(receiver.url)).toEqual({ ok: false, reason: 'it answered 410', final: true });
});

test.each([
  ['120', 120],
  [new Date(Date.now() + 3_600_000).toUTCString(), 3600],
])('a Retry-After of %s is told', async (given, seconds) => {
  receiver = await httpReceiver((response) => response.writeHead(429, { 'retry-after': given }).end());
  const told = await send(receiver.url);
  const { retryAfterSeconds = 0 } = told.ok ? {} : told;
  expect(retryAfterSeconds).toBeGreaterThan(seconds - 60);
  expect(retryAfterSeconds).toBeLessThanOrEqual(seconds);
});

test('one that does not answer is given up after a while', async () => {
  receiver = await httpReceiver(() => undefined);
  const told = await send(receiver.url, { timeoutMilliseconds: 200 });
  expect(told).toEqual({ ok: false, reason: 'no answer within 0.2 s' });
});

test.each([
  'http://127.0.0.1:1/',
  'http://[::1]:1/',
  'http://[::ffff:10.0.0.1]/',
  'http://169.254.169.254/',
  'http://localhost:1/',
])('nobody is told at %s, unless that is allowed', async (url) => {
  const told = await send(url, { allowPrivate: false });
  expect(told).toEqual({ ok: false, reason: expect.stringMatching(/is not a public address, .* --allow-private$/) });
});
