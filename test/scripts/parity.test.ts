import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { idsIn, parity, readReport, readRows, unknownIds } from '../../scripts/proof.js';

const TABLE = `# Promises

## Sites
| id | promise | parts |
| --- | --- | --- |
| PS-01 | can be asked for | |
| PS-03 | each answers | static, php |

## Chaos
| id | promise | parts |
| --- | --- | --- |
| CH-01 | ends as if nothing had happened | provision-site, create-backup |
`;
const rows = readRows(TABLE);

function ran(...tests: [title: string, status: string][]) {
  return tests.map(([fullName, status]) => ({ fullName, status }));
}

describe('the table', () => {
  test('is read with groups and parts', () => {
    expect(rows).toEqual([
      { id: 'PS-01', group: 'Sites', parts: [] },
      { id: 'PS-03', group: 'Sites', parts: ['PS-03/static', 'PS-03/php'] },
      { id: 'CH-01', group: 'Chaos', parts: ['CH-01/provision-site', 'CH-01/create-backup'] },
    ]);
  });

  test('names every promise once', () => {
    expect(() => readRows(`${TABLE}| PS-01 | again | |\n`)).toThrow('PS-01 stands twice');
    expect(() => readRows('| PS-03 | each answers | static, static |')).toThrow('PS-03/static stands twice');
  });

  test('of the product has every promise, in a group', async () => {
    const product = readRows(await readFile(new URL('../../docs/parity.md', import.meta.url), 'utf8'));
    expect(product).toHaveLength(131);
    expect(product.filter(({ group }) => group === '')).toEqual([]);
  });
});

describe('the ids of a title', () => {
  test.each([
    ['[PS-01] [PS-03/php] asks', ['PS-01', 'PS-03/php']],
    ['asks, at the end [PS-01]', ['PS-01']],
    ['takes [1, 2] and [PS] and [ps-01] for words', []],
    ['[PS-1] [PS-01, PS-03] mistypes', ['PS-1', 'PS-01, PS-03']],
    // By number: a title with its text would itself carry the ids.
  ])('are read (%#)', (title, ids) => {
    expect(idsIn(title)).toEqual(ids);
  });
});

describe('a row', () => {
  test('is proven when all of its tests passed', () => {
    const { proven } = parity(rows, ran(['[PS-01] at a terminal', 'passed'], ['[PS-01] by a program', 'passed']));
    expect(proven).toEqual(['PS-01']);
  });

  test('is failing when one of its tests failed', () => {
    const { failing, proven } = parity(rows, ran(['[PS-01] one', 'passed'], ['[PS-01] other', 'failed']));
    expect({ failing, proven }).toEqual({ failing: ['PS-01'], proven: [] });
  });

  test.each(['skipped', 'pending', 'todo'])('is missing when one of its tests was %s', (status) => {
    expect(parity(rows, ran(['[PS-01] one', 'passed'], ['[PS-01] other', status])).missing).toContain('PS-01');
  });

  test('in parts is proven by all of them, and not by itself', () => {
    expect(parity(rows, ran(['[PS-03/static] [PS-03/php] both', 'passed'])).proven).toEqual([
      'PS-03',
      'PS-03/static',
      'PS-03/php',
    ]);
    expect(parity(rows, ran(['[PS-03/static] one', 'passed'])).missing).toEqual([
      'PS-01',
      'PS-03',
      'PS-03/php',
      'CH-01',
      'CH-01/provision-site',
      'CH-01/create-backup',
    ]);
    expect(parity(rows, ran(['[PS-03] all of it', 'passed'])).proven).toEqual([]);
  });

  test('in parts is failing with one of them, and with a test of its own', () => {
    const one = parity(rows, ran(['[PS-03/static] one', 'passed'], ['[PS-03/php] other', 'failed']));
    expect(one).toMatchObject({ proven: ['PS-03/static'], failing: ['PS-03', 'PS-03/php'] });
    const own = parity(rows, ran(['[PS-03/static] [PS-03/php] both', 'passed'], ['[PS-03] more', 'failed']));
    expect(own).toMatchObject({ proven: ['PS-03/static', 'PS-03/php'], failing: ['PS-03'] });
  });
});

test('a report of vitest is read with its describing titles', () => {
  const file = { name: 'a.test.ts', status: 'passed', assertionResults: [] };
  const broken = { name: 'b.test.ts', status: 'failed', message: 'it does not load' };
  const one = { ancestorTitles: ['[PS-03/php] a site'], title: 'answers', fullName: '[PS-03/php] a site answers' };
  const report = readReport({
    testResults: [file, broken, { ...file, assertionResults: [{ ...one, status: 'passed' }] }],
  });
  expect(report).toEqual([{ fullName: '[PS-03/php] a site answers', status: 'passed' }]);
  expect(() => readReport({})).toThrow('testResults');
});

test('ids that no row has are named, once, with a test', () => {
  const report = ran(['[PS-01] [PS-99] one', 'passed'], ['[PS-99] two', 'failed'], ['[PS-03/ruby] three', 'skipped']);
  expect(unknownIds(rows, report)).toEqual([
    { id: 'PS-99', test: '[PS-01] [PS-99] one' },
    { id: 'PS-03/ruby', test: '[PS-03/ruby] three' },
  ]);
});
