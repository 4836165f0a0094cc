import { z } from 'zod';

/** A row of docs/parity.md. */
export interface Row {
  id: string;
  /** The heading it stands under. */
  group: string;
  /** Its parts as `<id>/<part>`; none where the row is proven as a whole. */
  parts: string[];
}

/** Ids of rows and parts, in the table's order. */
export interface Parity {
  proven: string[];
  failing: string[];
  missing: string[];
}

const tests = z.object({
  testResults: z.array(
    z.object({ assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })).default([]) }),
  ),
});

/** The report of vitest's JSON reporter, as far as it is needed. Throws a ZodError when it is something else. */
export function readReport(json: unknown): Test[] {
  return tests.parse(json).testResults.flatMap(({ assertionResults }) => assertionResults);
}

/** A test with its describing titles, and `passed`, `failed`, or why it did not run. */
export interface Test {
  fullName: string;
  status: string;
}

/** Rows of the tables `| id | promise | parts |`, in their order. Throws where an id or a part stands there twice. */
export function readRows(markdown: string): Row[] {
  const rows: Row[] = [];
  let group = '';
  for (const line of markdown.split('\n')) {
    group = /^## (.*)$/.exec(line)?.[1]?.trim() ?? group;
    const [, id, cells = ''] = /^\| *([A-Z]{2}-\d{2}) *\|(.*)\|\s*$/.exec(line) ?? [];
    if (id === undefined) continue;
    const parts = cells.slice(cells.lastIndexOf('|') + 1).split(',');
    rows.push({ id, group, parts: parts.map((part) => `${id}/${part.trim()}`).filter((part) => part !== `${id}/`) });
  }
  const ids = rows.flatMap(({ id, parts }) => [id, ...parts]);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Error(`${twice} stands twice in the table`);
  return rows;
}

/** The ids that a test's title names: whatever stands in brackets and begins like one. */
export function idsIn(title: string): string[] {
  return [...title.matchAll(/\[([A-Z]{2}-\d[^\]]*)\]/g)].map(([, id = '']) => id);
}

/** Ids in titles that no row has, each with a test that names it: a typing error, or a promise nobody wrote down. */
export function unknownIds(rows: readonly Row[], report: readonly Test[]): { id: string; test: string }[] {
  const known = new Set(rows.flatMap(({ id, parts }) => [id, ...parts]));
  const found = report.flatMap(({ fullName }) => idsIn(fullName).map((id) => ({ id, test: fullName })));
  return found.filter(({ id }, index) => !known.has(id) && found.findIndex((other) => other.id === id) === index);
}

/**
 * What the tests of a report prove. An id is failing when one of its tests failed, proven when all of them passed, else
 * missing: no test has it, or one did not run. A row with parts takes its state from them, and from tests of its own.
 */
export function parity(rows: readonly Row[], report: readonly Test[]): Parity {
  const statuses = new Map<string, string[]>();
  for (const { fullName, status } of report) {
    for (const id of idsIn(fullName)) statuses.set(id, [...(statuses.get(id) ?? []), status]);
  }
  const result: Parity = { proven: [], failing: [], missing: [] };
  for (const { id, parts } of rows) {
    const own = statuses.get(id);
    const states = parts.map((part) => stateOf(statuses.get(part)));
    result[together(own || parts.length === 0 ? [stateOf(own), ...states] : states)].push(id);
    for (const [index, part] of parts.entries()) result[states[index] ?? 'missing'].push(part);
  }
  return result;
}

function stateOf(statuses: readonly string[] = []): keyof Parity {
  if (statuses.includes('failed')) return 'failing';
  return statuses.length > 0 && statuses.every((status) => status === 'passed') ? 'proven' : 'missing';
}

function together(states: readonly (keyof Parity)[]): keyof Parity {
  if (states.includes('failing')) return 'failing';
  return states.every((state) => state === 'proven') ? 'proven' : 'missing';
}
