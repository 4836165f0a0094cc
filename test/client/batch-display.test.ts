import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { openBatchDisplay } from '../../src/client/batch-display.js';
import type { SeenBatch } from '../../src/client/watch-batch.js';
import type { Batch } from '../../src/inventory/batches.js';
import type { Item } from '../../src/inventory/batch-items.js';

const AT = '2026-11-27T10:00:00.000Z';

const item = (ordinal: number, state: Item['state'], more: Partial<Item> = {}): Item => ({
  ...{ batch: 'batch-a', phase: 'item', ordinal, verb: 'backup.create', input: '', target: `${ordinal}.example` },
  ...{ server: null, operation: `batch-a/${ordinal}`, state, failureType: null, reason: null },
  ...{ startedAt: AT, endedAt: state === 'running' ? null : '2026-11-27T10:00:12.000Z' },
  ...more,
});

const batch = (more: Partial<Batch> = {}): Batch => ({
  ...{
    id: 'batch-a',
    kind: 'batch',
    name: 'nightly',
    tenant: 'default',
    state: 'running',
    outcome: null,
    priority: 'low',
  },
  ...{ rules: { concurrency: 2, perServer: null, canary: null, failures: null }, taskQueue: 'chom', cluster: 'c' },
  ...{
    namespace: 'n',
    round: 1,
    approved: false,
    canaryUntil: null,
    forgiven: 0,
    startsAt: null,
    pausedBy: null,
    reason: null,
  },
  ...{ pauses: 0, askedAt: AT, endedAt: null, ...more },
});

function seen(changed: Item[], running: number, more: Partial<Batch> = {}): SeenBatch {
  const none = { pending: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, skipped: 0 };
  const phases = { item: { ...none, pending: 3 - running, running }, then: none, catch: none, finally: none };
  return { batch: batch(more), phases, changed };
}

function shown(terminal: boolean, ...looks: SeenBatch[]): string {
  const stderr = Object.assign(new PassThrough(), { isTTY: terminal, columns: 60, rows: 24 });
  const display = openBatchDisplay({ stderr, environment: {} });
  for (const look of looks) display.show(look);
  display.end();
  return (stderr.read() as Buffer | null)?.toString() ?? '';
}

const failed = item(2, 'failed', { reason: 'the disk is full' });
const looks = [
  seen([item(1, 'running'), item(2, 'running')], 2),
  seen([item(1, 'succeeded'), item(2, 'running')], 1),
  seen([item(1, 'succeeded'), failed], 0, { state: 'paused', pausedBy: 'failures', reason: '1 of 3 failed' }),
];

test('each change is a line, once, where nothing can be drawn over', () => {
  expect(shown(false, ...looks).split('\n')).toEqual([
    '▶ 1 backup.create 1.example',
    '▶ 2 backup.create 2.example',
    '✔ 1 backup.create 1.example (12 s)',
    '✘ 2 backup.create 2.example — failed (12 s): the disk is full [batch-a/2]',
    '… Paused: 1 of 3 failed. Go on with: chom batch resume nightly, or: chom batch retry nightly --only-failed',
    '',
  ]);
});

test('on a terminal what is at work is drawn below what has ended, and goes with it', () => {
  const text = shown(true, ...looks);
  expect(text).toContain(
    '▶ 1 backup.create 1.example\n▶ 2 backup.create 2.example\n0 of 3 done, 2 at work\n\u001b[3A\u001b[J',
  );
  // What has ended stays.
  expect(text).toContain(
    '✔ 1 backup.create 1.example (12 s)\n▶ 2 backup.create 2.example\n0 of 3 done, 1 at work\n\u001b[2A',
  );
  expect(text.endsWith('0 of 3 done\n\u001b[1A\u001b[J')).toBe(true);
});
