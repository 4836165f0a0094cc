import { describe, expect, test } from 'vitest';
import { AcmeProblem, AcmeSilence, authorityFailure, readProblem } from '../../src/activities/acme-problem.js';
import { readRetryAfter } from '../../src/retry-after.js';
import { failureDetails, RETRYABLE } from '../../src/workflows/failures.js';

function failureOf(type: string, status: number, wait: number | null = null) {
  const problem = readProblem({ type: `urn:ietf:params:acme:error:${type}`, detail: 'why' });
  return authorityFailure(new AcmeProblem(problem, status, wait), 'ca.test', 'order a certificate');
}

describe('a problem of the authority', () => {
  test.each([
    ['rateLimited', 429, 'RateLimited'],
    ['rejectedIdentifier', 400, 'CertificateRefused'],
    ['unsupportedIdentifier', 400, 'CertificateRefused'],
    ['malformed', 400, 'CertificateRefused'],
    ['badCSR', 400, 'CertificateRefused'],
    ['userActionRequired', 403, 'CertificateRefused'],
    ['externalAccountRequired', 403, 'CertificateRefused'],
    ['dns', 400, 'ValidationFailed'],
    ['connection', 400, 'ValidationFailed'],
    ['unauthorized', 403, 'ValidationFailed'],
    ['caa', 403, 'DomainNotPointed'],
    ['serverInternal', 500, 'AuthorityError'],
    ['orderNotReady', 403, 'AuthorityError'],
    ['somethingNew', 429, 'RateLimited'],
    ['somethingNew', 503, 'AuthorityError'],
    ['toString', 400, 'AuthorityError'],
  ] as const)('%s with HTTP %i is %s', (type, status, expected) => {
    const made = failureOf(type, status);
    expect(made.type).toBe(expected);
    expect(made.message).toContain('ca.test');
  });

  test('says how long to wait, also in words', () => {
    const made = failureOf('rateLimited', 429, 43_200);
    expect(failureDetails(made).retryAfterSeconds).toBe(43_200);
    expect(made.message).toContain('43200 s');
    expect(RETRYABLE.RateLimited).toBe(true);
  });

  test('of several names is the first one of them', () => {
    const refused = { type: 'urn:ietf:params:acme:error:rejectedIdentifier', detail: 'policy forbids a.test' };
    const compound = { type: 'urn:ietf:params:acme:error:compound', detail: 'see subproblems', subproblems: [refused] };
    expect(readProblem(compound)).toEqual({ type: 'rejectedIdentifier', detail: 'policy forbids a.test' });
  });

  test('cannot move the cursor of a terminal, nor fill it', () => {
    const { detail } = readProblem({ detail: `\u001B[2Jgone\r\n${'x'.repeat(10_000)}` });
    expect(detail).toMatch(/^\[2Jgone x+$/);
    expect(detail.length).toBeLessThanOrEqual(600);
  });

  test('that is no problem document at all is an error of the authority', () => {
    for (const body of [null, undefined, '<html>', 7, []])
      expect(readProblem(body)).toEqual({ type: 'unknown', detail: '' });
  });
});

test('no answer is an authority that cannot be reached', () => {
  expect(authorityFailure(new AcmeSilence('ECONNREFUSED'), 'ca.test', 'order').type).toBe('AuthorityUnreachable');
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-23T12:00:00Z');

  test.each([
    ['120', 120],
    ['0', 0],
    [' 7 ', 7],
    ['Mon, 23 Nov 2026 13:00:00 GMT', 3600],
    ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
    ['-5', null],
    ['soon', null],
    ['', null],
    [undefined, null],
  ])('%s is %s seconds', (header, seconds) => {
    expect(readRetryAfter(header, undefined, now)).toBe(seconds);
  });

  test("as a date counts from the sender's clock", () => {
    const sent = 'Mon, 23 Nov 2026 12:59:00 GMT';
    expect(readRetryAfter('Mon, 23 Nov 2026 13:00:00 GMT', sent, now)).toBe(60);
  });
});
