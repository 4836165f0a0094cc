import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { nextTry } from '../../src/delivery/backoff.js';
import { SECRET_PREFIX, signedHeaders } from '../../src/delivery/message.js';

test('a receiver that uses the library of Standard Webhooks takes a request, and no other body, id, time or secret', () => {
  const secret = randomBytes(32);
  const now = Math.floor(Date.now() / 1000);
  const verify = (key: Buffer, body: string, headers: Record<string, string>) =>
    new Webhook(`${SECRET_PREFIX}${key.toString('base64')}`).verify(body, headers);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const body = JSON.stringify({ text });
      const headers = signedHeaders(secret, 'evt_1', now, body);
      expect(verify(secret, body, headers)).toEqual({ text });
      expect(() => verify(secret, `${body} `, headers)).toThrow(/signature/);
      expect(() => verify(secret, body, { ...headers, 'webhook-id': 'evt_2' })).toThrow(/signature/);
      expect(() => verify(randomBytes(32), body, headers)).toThrow(/signature/);
    }),
  );
  const old = signedHeaders(secret, 'evt_1', now - 3600, '{}');
  expect(() => verify(secret, '{}', old)).toThrow(/too old/);
});

test('a delivery that fails is tried again after growing pauses, for 24 hours, and then given up', () => {
  let at = 0;
  const pauses: number[] = [];
  for (let tries = 1; ; tries += 1) {
    const next = nextTry({ tries, firstTriedAt: 0 }, at);
    if (next === null) break;
    pauses.push((next - at) / 1000);
    at = next;
  }
  expect(pauses.slice(0, 8)).toEqual([5, 15, 60, 300, 900, 1800, 3600, 3600]);
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
  expect(at).toBeGreaterThan(23 * 3_600_000);
  expect(at).toBeLessThanOrEqual(24 * 3_600_000);
});

test('a receiver can ask for a longer pause, but not for days', () => {
  expect(nextTry({ tries: 1, firstTriedAt: 0 }, 0, 120)).toBe(120_000);
  expect(nextTry({ tries: 1, firstTriedAt: 0 }, 0, 1_000_000)).toBe(6 * 3_600_000);
});
