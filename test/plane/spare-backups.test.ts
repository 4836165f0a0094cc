import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { removeSpareBackups, spareBackups } from '../../src/plane/spare-backups.js';

const DAY = 24 * 3_600_000;
const NOW = Date.parse('2026-11-27T12:00:00Z');
const named = (at: number, suffix = '.chom-sealed') =>
  `control-plane-${new Date(at).toISOString().replaceAll(/[-:.]/g, '')}${suffix}`;

test('of backups of each day for two years the newest seven days, four weeks and twelve months are kept', () => {
  const names = Array.from({ length: 730 }, (_, n) => named(NOW - n * DAY));
  const spare = new Set(spareBackups(names, NOW));
  const kept = names.filter((name) => !spare.has(name));
  expect(kept.slice(0, 7)).toEqual(names.slice(0, 7));
  expect(kept.length).toBeGreaterThanOrEqual(7 + 2 + 11);
  expect(kept.length).toBeLessThanOrEqual(7 + 4 + 12);
  expect(kept.at(-1)).toContain('control-plane-202512');
});

test('what is none of ours is left, and of the encrypted ones none goes for the sake of another', () => {
  const names = [
    named(NOW - DAY / 2, '.chom'),
    named(NOW - 40 * DAY),
    'notes.txt',
    'control-plane-x.chom',
    'mysql-20200101T000000000Z.chom',
  ];
  expect(spareBackups(names, NOW)).toEqual([]);
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 20 }), (others) => {
      expect(
        spareBackups(
          others.filter((name) => !name.startsWith('control-plane-')),
          NOW,
        ),
      ).toEqual([]);
    }),
  );
});

test('however they are spread, the newest stays, and what was kept is kept when it is asked again', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 900 * DAY }), { minLength: 1, maxLength: 60 }), (ages) => {
      const names = ages.map((age) => named(NOW - age));
      const spare = spareBackups(names, NOW);
      const kept = names.filter((name) => !spare.includes(name));
      expect(kept).toContain(named(NOW - Math.min(...ages)));
      expect(spareBackups(kept, NOW)).toEqual([]);
    }),
  );
});

test('they are removed from a directory, also from one that there is not', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'chom-spare-'));
  try {
    const names = [named(NOW - 3600_000), named(NOW - 3 * DAY), named(NOW - 3 * DAY - 60_000), 'key.txt'];
    for (const name of names) await writeFile(join(directory, name), '');
    expect(await removeSpareBackups(directory, NOW)).toEqual([names[2]]);
    expect((await readdir(directory)).toSorted()).toEqual(names.filter((_, n) => n !== 2).toSorted());
    expect(await removeSpareBackups(join(directory, 'none'), NOW)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
