import { ApplicationFailure } from '@temporalio/common';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDomain } from '../../src/client/domain.js';
import { domainName } from '../../src/workflows/plans.js';

test.each([
  ['example.org', 'example.org'],
  ['EXAMPLE.Org', 'example.org'],
  ['example.org.', 'example.org'],
  ['münchen.example', 'xn--mnchen-3ya.example'],
  ['MÜNCHEN.example', 'xn--mnchen-3ya.example'],
  ['例え。テスト', 'xn--r8jz45g.xn--zckzah'],
  ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
  [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
])('%s is %s', (text, ascii) => {
  expect(parseDomain(text)).toBe(ascii);
});

test.each([
  ['', 'is empty'],
  ['https://example.org', 'it is a URL'],
  ['192.0.2.1', 'it is an IP address'],
  ['2001:db8::1', 'it is an IP address'],
  ['0x7f.1', 'its last part is a number'],
  ['exa mple.org', 'it holds " "'],
  ['exa%6dple.org', 'it holds "%"'],
  ['example.org/path', 'it holds "/"'],
  ['under_score.org', 'it holds "_"'],
  ['*.example.org', 'it holds "*"'],
  ['a\u0000.org', String.raw`it holds "\u0000"`],
  ['a\u202e.org', String.raw`it holds "\u202e"`],
  ['xn--a.example', 'IDNA'],
  ['example', 'one part only'],
  ['a..b.org', 'two dots'],
  ['-a.example.org', 'hyphen'],
  ['a-.example.org', 'hyphen'],
  ['example.123', 'its last part is a number'],
  [`${'a'.repeat(64)}.example`, '64 characters'],
  [`${'abc.'.repeat(70)}example`, '287 characters'],
])('%j is refused: %s', (text, why) => {
  const refused = refusal(text);
  expect(
    `${refused.message} ${JSON.stringify(refused.details)}`.replaceAll('\\\\', '\\').replaceAll(String.raw`\"`, '"'),
  ).toContain(why);
});

test('whatever is written, it becomes a name that plans take, or is refused as input', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    fc.domain(),
    fc.stringMatching(/^[a-zß.-]{1,20}\.[a-z]{2,5}$/),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const parsed = parsedOrRefused(text);
      // A name stays what it is; a message cannot write to the terminal.
      const right = typeof parsed === 'string' ? parseDomain(parsed) === parsed : isPrintable(parsed.message);
      expect([right, typeof parsed === 'string' ? domainName.safeParse(parsed).success : parsed.type]).toEqual([
        true,
        typeof parsed === 'string' ? true : 'InvalidInput',
      ]);
    }),
    { numRuns: 2000 },
  );
});

function parsedOrRefused(text: string): string | ApplicationFailure {
  try {
    return parseDomain(text);
  } catch (error) {
    if (error instanceof ApplicationFailure) return error;
    throw error;
  }
}

function refusal(text: string): ApplicationFailure {
  const refused = parsedOrRefused(text);
  if (typeof refused === 'string') throw new Error(`It was not refused: ${refused}`);
  return refused;
}

function isPrintable(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}
