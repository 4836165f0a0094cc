import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { describeProblem, problemDocument, problemOf } from '../../src/client/problem.js';
import { failure, RETRYABLE, type FailureType } from '../../src/workflows/failures.js';

const STATUSES: Partial<Record<FailureType, number>> = {
  InvalidInput: 2,
  Forbidden: 4,
  NotFound: 5,
  Busy: 11,
  TemporalUnavailable: 12,
  NoWorker: 12,
};

test('every type of failure has its exit status', () => {
  for (const type of Object.keys(RETRYABLE) as FailureType[]) {
    expect([type, problemOf(failure(type, 'x')).exitStatus]).toEqual([type, STATUSES[type] ?? 1]);
  }
  expect(problemOf(new CommanderError(1, 'commander.unknownOption', "error: unknown option '--x'")).exitStatus).toBe(2);
  expect(problemOf(new TypeError('x')).exitStatus).toBe(1);
});

test('the text says what failed, where, why, what to do, and in which operation', () => {
  const details = { server: 'web1', step: 'Publish the site', cause: 'nginx refuses it', next: 'chom op show x' };
  const problem = problemOf(failure('ConfigurationRejected', 'The site was not published', details), 'x');
  expect(describeProblem(problem)).toBe(
    [
      'chom: The site was not published',
      '  server     web1',
      '  step       Publish the site',
      '  cause      nginx refuses it',
      '  next       chom op show x',
      '  operation  x',
    ].join('\n'),
  );
  expect(problemDocument(problem)).toEqual({
    operation: 'x',
    status: 'failed',
    error: { type: 'ConfigurationRejected', message: 'The site was not published', ...details },
  });
});

test('what a server said cannot write to the terminal', () => {
  const problem = problemOf(
    failure('CommandFailed', 'bad \u001b]0;owned\u0007name\r\nchom: fine', { cause: '\u001b[2Jx\u009b1A' }),
  );
  expect(describeProblem(problem)).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(describeProblem(problem).split('\n')).toHaveLength(2);
});
