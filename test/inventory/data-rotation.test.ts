import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextPart } from '../../src/inventory/data-rotation.js';

const DAY = 24 * 3_600_000;
const START = Date.parse('2026-11-01T03:00:00Z');
const never = { dataPart: null, dataParts: null, dataReadAt: null };

/** What is read in so many checks that lie so many days apart. */
function checks(every: number, count: number) {
  const read: { part: number; parts: number; at: number }[] = [];
  let held: Parameters<typeof nextPart>[0] = never;
  for (let n = 0; n < count; n += 1) {
    const at = START + n * every * DAY;
    const { part, parts } = nextPart(held, at);
    read.push({ part, parts, at });
    held = { dataPart: part, dataParts: parts, dataReadAt: new Date(at).toISOString() };
  }
  return read;
}

test.each([
  [7, 4],
  [1, 30],
  [0.25, 30],
  [30, 1],
  [90, 1],
])('checked every %s days, all is read in %i parts once the pace is known', (every, parts) => {
  const second = checks(every, 40).slice(4, 4 + parts);
  expect(second.map((one) => [one.part, one.parts])).toEqual(second.map((_, n) => [n + 1, parts]));
});

test('whatever the pace, parts come in their order, rounds are finished, and one takes about a month at most', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 28, noNaN: true }), (every) => {
      const read = checks(every, 100);
      for (const [n, one] of read.entries()) {
        const before = read[n - 1];
        const begins = before === undefined || before.part === before.parts;
        const goesOn = one.part === (before?.part ?? 0) + 1 && one.parts === before?.parts;
        expect(one.part === 1 ? begins : goesOn).toBe(true);
        expect(one.part).toBeLessThanOrEqual(one.parts);
      }
      for (const { parts } of read.slice(4)) expect(parts * every).toBeLessThanOrEqual(30 + every);
    }),
  );
});

test('a clock that was set back does not ask for more parts than days of a month', () => {
  const held = { dataPart: 4, dataParts: 4, dataReadAt: new Date(START).toISOString() };
  expect(nextPart(held, START - DAY)).toEqual({ part: 1, parts: 30 });
});
