import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { openDisplay } from '../../src/client/display.js';
import { describeStall, describeTree, fingerprint, shownSteps } from '../../src/client/step-tree.js';
import type { Seen } from '../../src/client/watch.js';
import type { Operation } from '../../src/inventory/operations.js';
import type { StepProgress } from '../../src/workflows/progress.js';

const T0 = Date.parse('2026-01-02T03:04:05.000Z');

function step(index: number, label: string, more: Partial<StepProgress> = {}): StepProgress {
  return { index, label, state: 'done', attempt: 1, startedAt: T0, endedAt: T0 + 1200, ...more };
}

function running(index: number, label: string, more: Partial<StepProgress> = {}): StepProgress {
  const { endedAt: _, ...rest } = step(index, label, { state: 'running', ...more });
  return rest;
}

function seen(steps: StepProgress[], more: Partial<Seen> = {}, row: Partial<Operation> = {}): Seen {
  const operation: Operation = {
    ...{ id: 'provision-site-a', kind: 'provision-site', input: '', tenant: 'default', server: 'v', site: 's' },
    ...{ cluster: '', namespace: '', state: 'running', run: 'r', epoch: 1, root: 'provision-site-a', parent: null },
    ...{ committed: false, committing: null, undoing: false, outcome: null, failureType: null, reason: null },
    ...{ details: null, warnings: [], steps: [], priority: 'default', endedAt: null, forgottenAt: null },
    ...{ startsAt: null, taskQueue: null, askedAt: new Date(T0).toISOString(), startedAt: new Date(T0).toISOString() },
    ...row,
  };
  return { operation, steps, warnings: [], question: null, silence: null, children: [], ...more };
}

const child = (steps: StepProgress[]) =>
  seen(steps, {}, { id: 'provision-site-a/certificate', kind: 'issue-certificate', parent: 'provision-site-a' });

describe('the tree', () => {
  const style = { colour: false, now: T0 + 5000 };

  test('shows each step with its state, attempt, time and reason', () => {
    const steps = [
      step(1, 'Create user'),
      step(2, 'Create database', { state: 'skipped' }),
      running(3, 'Install', { state: 'waiting', attempt: 2, message: 'The package manager is busy' }),
    ];
    expect(describeTree(seen(steps, { warnings: ['The disk is nearly full'] }), style, T0)).toEqual([
      '✔ Create user (1.2 s)',
      '– Create database — skipped',
      '… Install — waiting, attempt 2: The package manager is busy',
      '⚠ The disk is nearly full',
    ]);
  });

  test('shows how much of a running step is done, and tells it by lines for every tenth', () => {
    const amount = { phase: 'files', done: 0.428, files: 8120, bytes: 325_058_560, totalBytes: 760_000_000 };
    const at = (done: number) => seen([running(1, 'Back up', { amount: { ...amount, done } })]);
    expect(describeTree(at(0.428), style, T0)).toEqual(['▶ Back up — files: 42 %, 325 MB of 760 MB, 8120 files']);
    const unknown = seen([
      running(1, 'Back up', { amount: { ...amount, files: 0, totalBytes: 0, phase: 'database' } }),
    ]);
    expect(describeTree(unknown, style, T0)).toEqual(['▶ Back up — database: 325 MB']);
    const told = (done: number) => shownSteps(at(done)).map(fingerprint).join('');
    expect(told(0.41)).toBe(told(0.49));
    expect(told(0.49)).not.toBe(told(0.51));
  });

  test('shows what was taken back, and what could not be', () => {
    const steps = [step(1, 'A', { state: 'undone' }), step(2, 'B', { state: 'not-undone', message: 'unreachable' })];
    expect(describeTree(seen(steps), style, T0)).toEqual([
      '↩ A — undone (1.2 s)',
      '✘ B — not undone (1.2 s): unreachable',
    ]);
  });

  test('shows an operation inside it under the step that runs it', () => {
    const whole = seen([step(1, 'Activate'), running(2, 'issue-certificate')], {
      children: [child([running(1, 'Order')])],
    });
    expect(describeTree(whole, style, T0)).toEqual(['✔ Activate (1.2 s)', '▶ issue-certificate', '  ▶ Order']);
  });

  test('says what is waited for when nobody answers', () => {
    const silent = seen([], { silence: 'no worker answers' }, { state: 'asked', startedAt: null });
    expect(describeTree(silent, style, T0)).toEqual(['asked for, waiting for a worker (no worker answers)']);
  });

  test('says after a minute without any change since when, and what is waited for', () => {
    const stuck = seen([running(1, 'Install packages')], { silence: 'no worker answers' });
    expect(describeStall(stuck, T0 + 59_000, T0)).toBeNull();
    const at = new Date(T0).toTimeString().slice(0, 8);
    expect(describeStall(stuck, T0 + 75_000, T0)).toBe(
      `Nothing has changed since ${at} (1 min 15 s): waiting for “Install packages”; no worker answers`,
    );
  });
});

describe('elsewhere than on a terminal', () => {
  test('each change is one line, said once, without colours', () => {
    const stderr = new PassThrough();
    const display = openDisplay({ stderr, environment: {} });
    // Long ended, so that no stall is reported here.
    const row = { askedAt: new Date().toISOString(), startedAt: new Date().toISOString() };
    const first = seen([running(1, 'Create user')], {}, row);
    display.show(first);
    display.show(first);
    display.show(seen([step(1, 'Create user'), running(2, 'Install')], { warnings: ['odd'] }, row));
    display.show(seen([step(1, 'Create user'), running(2, 'Install', { attempt: 2 })], { warnings: ['odd'] }, row));
    display.end();
    expect(String(stderr.read()).split('\n')).toEqual([
      '▶ Create user',
      '✔ Create user (1.2 s)',
      '▶ Install',
      '⚠ odd',
      '▶ Install, attempt 2',
      '',
    ]);
  });
});

describe('on a terminal', () => {
  const terminal = (environment: Record<string, string>) => {
    const stderr = Object.assign(new PassThrough(), { isTTY: true, columns: 24, rows: 5 });
    return { stderr, display: openDisplay({ stderr, environment }) };
  };
  const ended = { state: 'ended', outcome: 'succeeded' } as const;

  test('the tree is drawn once more at the end, with colours', () => {
    const { stderr, display } = terminal({});
    display.show(seen([step(1, 'Create user')], {}, ended));
    display.end();
    expect(String(stderr.read())).toBe('\u001b[32m✔\u001b[0m Create user (1.2 s)\n');
  });

  test('NO_COLOR is heeded, and lines are cut at the edge', () => {
    const { stderr, display } = terminal({ NO_COLOR: '1' });
    display.show(seen([step(1, 'Create the user and its directories')], {}, ended));
    display.end();
    expect(String(stderr.read())).toBe('✔ Create the user and …\n');
  });

  test('a terminal that cannot move its cursor gets lines', () => {
    const { stderr, display } = terminal({ TERM: 'dumb' });
    display.show(seen([step(1, 'Create user')], {}, ended));
    expect(String(stderr.read())).toBe('✔ Create user (1.2 s)\n');
  });
});
