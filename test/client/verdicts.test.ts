import { expect, test } from 'vitest';
import { type SizedBackup, verdictDocument, verdictTable } from '../../src/client/verdicts.js';
import { keep } from '../../src/inventory/retention.js';

const now = Date.parse('2026-11-26T12:00:00Z');
const backup = (id: string, startedAt: string, more: Partial<SizedBackup> = {}): SizedBackup => ({
  ...{ id, startedAt, repository: 'r', kind: 'full', state: 'completed', tag: 'scheduled' },
  ...{ retentionDays: null, bytes: 21_400_000, ...more },
});
const verdicts = keep(
  [
    backup('b1', '2026-11-26T02:00:00.000Z', { state: 'verified' }),
    backup('b2', '2026-11-14T02:00:00.000Z', { state: 'failed', bytes: null, kind: 'files' }),
    backup('b3', '2027-01-01T00:00:00.000Z'),
  ],
  { within: 7, daily: 7, weekly: 4, monthly: 12 },
  { now },
);

test('a line for each backup', () => {
  expect(verdictTable(verdicts, now)).toBe(
    [
      'BACKUP  AGE         TYPE   SIZE   STATE      VERDICT  REASONS',
      'b3      in 35 days  full   21 MB  completed  keep     dated in the future',
      'b1      10 h        full   21 MB  verified   keep     younger than 24 hours, of the last 7 days, ' +
        'daily 2026-11-26, weekly 2026-W48, monthly 2026-11, last verified, newest of its kind',
      'b2      12 days     files  -      failed     remove   failed',
    ].join('\n'),
  );
});

test('the same for programs', () => {
  expect(verdicts.map(verdictDocument)[2]).toEqual({
    ...{ id: 'b2', kind: 'files', bytes: null, state: 'failed', startedAt: '2026-11-14T02:00:00.000Z' },
    ...{ verdict: 'remove', reasons: [{ rule: 'failed', text: 'failed' }] },
  });
  expect(verdictDocument(verdicts[1]!)).toMatchObject({
    reasons: expect.arrayContaining([{ rule: 'daily', bucket: '2026-11-26', text: 'daily 2026-11-26' }]),
  });
});
