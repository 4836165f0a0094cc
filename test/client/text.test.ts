import { expect, test } from 'vitest';
import { duration, facts, quoted, table } from '../../src/client/text.js';

test('columns are aligned, and what is empty is a hyphen', () => {
  expect(
    table(
      ['NAME', 'STATUS'],
      [
        ['web1', 'active'],
        ['a-long-name', ''],
      ],
    ),
  ).toBe('NAME         STATUS\nweb1         active\na-long-name  -');
});

test('facts that there are not are left out', () => {
  expect(
    facts([
      ['site', 'example.org'],
      ['php', null],
      ['url', 'http://example.org/'],
    ]),
  ).toBe('site  example.org\nurl   http://example.org/');
});

test.each([
  [0, '0.0 s'],
  [1249, '1.2 s'],
  [9949, '9.9 s'],
  [9999, '10 s'],
  [59_400, '59 s'],
  [185_000, '3 min 05 s'],
  [7_800_000, '2 h 10 min'],
])('%i ms is %s', (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});

test('what somebody wrote is cut, and cannot write to the terminal', () => {
  expect(quoted('a\u001b[2J\u202eb')).toBe(String.raw`"a\u001b[2J\u202eb"`);
  expect(quoted('a'.repeat(300))).toBe(`"${'a'.repeat(60)}…"`);
});
