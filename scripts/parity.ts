import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parity, type Parity, readReport, readRows, type Row, type Test, unknownIds } from './proof.js';

/**
 * `npm run parity`: which promises of docs/parity.md the last test run has proven. `--json` prints
 * `{"proven":[…],"failing":[…],"missing":[…]}` alone. Ends with 1 without a report, or with ids that no promise has.
 */
const REPORT = '.reports/tests.json';

async function main(words: string[]): Promise<number> {
  const rows = readRows(await readFile(path('docs/parity.md'), 'utf8'));
  const report = await readTests();
  if (report === null) return 1;
  const state = parity(rows, report);
  console.log(words.includes('--json') ? JSON.stringify(state) : describe(rows, state, report));
  const unknown = unknownIds(rows, report);
  for (const { id, test } of unknown) console.error(`error: docs/parity.md has no ${id}, which a test names: ${test}`);
  return unknown.length > 0 ? 1 : 0;
}

/** Null, once said why, when there is no report that can be read. */
async function readTests(): Promise<Test[] | null> {
  try {
    return readReport(JSON.parse(await readFile(path(REPORT), 'utf8')));
  } catch (error) {
    const none = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const cause = none ? 'no tests have been run' : 'it is no whole report of vitest';
    console.error(`error: ${REPORT} cannot be read\ncause: ${cause}\nnext: npm test`);
    return null;
  }
}

function describe(rows: readonly Row[], state: Parity, report: readonly Test[]): string {
  const groups = [...new Set(rows.map(({ group }) => group))];
  const width = Math.max(...groups.map(({ length }) => length));
  const line = (name: string, cells: (string | number)[]) =>
    name.padEnd(width) + cells.map((cell) => String(cell).padStart(9)).join('');
  const counts = (some: readonly Row[]) =>
    [state.proven, state.failing, state.missing].map((ids) => some.filter(({ id }) => ids.includes(id)).length);
  const lists = [
    ['proven', state.proven],
    ['failing', state.failing],
    ['missing', state.missing],
  ] as const;
  return [
    `${report.length} tests in ${REPORT}`,
    '',
    line('rows', ['proven', 'failing', 'missing']),
    ...groups.map((group) => line(group, counts(rows.filter((row) => row.group === group)))),
    line('all', counts(rows)),
    ...lists.map(([name, ids]) => `\n${name} (${ids.length}, with parts): ${ids.join(' ') || 'none'}`),
  ].join('\n');
}

function path(relative: string): string {
  return fileURLToPath(new URL(`../${relative}`, import.meta.url));
}

process.exitCode = await main(process.argv.slice(2));
