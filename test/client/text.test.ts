import { afterEach, describe, expect, test } from 'vitest';
import { age, duration, facts, fitTables, quoted, size, table } from '../../src/client/text.js';

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

test.each([
  [0, '0 min'],
  [3_599_999, '59 min'],
  [3_600_000, '1 h'],
  [172_799_999, '47 h'],
  [172_800_000, '2 days'],
  [-7_300_000, 'in 2 h'],
])('%i ms ago is %s', (milliseconds, text) => {
  expect(age(milliseconds)).toBe(text);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9949, '9.9 kB'],
  [9950, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [21_400_000, '21 MB'],
  [3_200_000_000, '3.2 GB'],
  [5_000_000_000_000_000, '5000 TB'],
])('%i bytes are %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

test('what somebody wrote is cut, and cannot write to the terminal', () => {
  expect(quoted('a\u001b[2J\u202eb')).toBe(String.raw`"a\u001b[2J\u202eb"`);
  expect(quoted('a'.repeat(300))).toBe(`"${'a'.repeat(60)}…"`);
});

describe('a table on a terminal', () => {
  afterEach(() => fitTables(undefined));
  const rows = [['create-backup-abcdefghijkl', 'succeeded', 'a-very-long-name.of-a-shop.example on web1']];
  const heading = ['OPERATION', 'STATUS', 'TARGET'];

  test('is cut where the terminal is narrower, the widest columns first', () => {
    fitTables(60);
    const lines = table(heading, rows).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBe(60);
    expect(lines[1]?.match(/…/g)).toHaveLength(2);
    expect(lines[1]).toContain('  succeeded  ');
  });

  test('is not cut below what says something, nor without a terminal', () => {
    fitTables(10);
    expect(table(heading, rows).split('\n')[1]).toBe('create-back…  succeeded  a-very-long…');
    fitTables(undefined);
    expect(table(heading, rows)).toContain('a-very-long-name.of-a-shop.example on web1');
  });
});
