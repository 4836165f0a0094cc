import { ApplicationFailure } from '@temporalio/common';
import { CommanderError } from 'commander';
import type { Operation } from '../inventory/operations.js';
import { failureDetails, isFailureType, type FailureType } from '../workflows/failures.js';
import { nameAndMessageOf } from '../workflows/thrown.js';
import type { ProblemDocument } from './documents/problem.js';
import { facts, printable } from './text.js';

/** What ends a command, for people and for programs. */
export interface Problem {
  type: FailureType;
  message: string;
  server: string | null;
  step: string | null;
  cause: string | null;
  next: string | null;
  /** The operation that failed or is affected. */
  operation: string | null;
  exitStatus: number;
}

/** Exit statuses that are no failure's: they belong to the interface, and programs rely on them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, partly: 3, nobody: 12, timedOut: 124, detached: 130 } as const;

/** Exit statuses of a command that was refused, where it is not 1. */
const REFUSED: Partial<Record<FailureType, number>> = {
  InvalidInput: EXIT.usage,
  Forbidden: 4,
  NotFound: 5,
  Busy: 11,
  TemporalUnavailable: EXIT.nobody,
  NoWorker: EXIT.nobody,
};

/** The problem behind whatever a command threw. */
export function problemOf(error: unknown, operation: string | null = null): Problem {
  if (error instanceof CommanderError) return usageProblem(error);
  if (error instanceof ApplicationFailure && isFailureType(error.type)) {
    const { server, step, cause, next } = failureDetails(error);
    return {
      type: error.type,
      message: error.message,
      server: server ?? null,
      step: step ?? null,
      cause: cause ?? null,
      next: next ?? (operation === null ? null : `chom op watch ${operation}`),
      operation,
      exitStatus: REFUSED[error.type] ?? EXIT.failed,
    };
  }
  return {
    type: 'Bug',
    message: nameAndMessageOf(error),
    server: null,
    step: null,
    cause: 'A defect in CHOM, or something that it does not expect: please report it.',
    next: operation === null ? null : `chom op watch ${operation}`,
    operation,
    exitStatus: EXIT.failed,
  };
}

/** Why an operation ended otherwise than well, from its row. */
export function problemOfOperation(operation: Operation): Problem {
  const type = isFailureType(operation.failureType) ? operation.failureType : 'Unexpected';
  const { server, step, cause, next } = operation.details ?? {};
  const cancelled = operation.outcome === 'cancelled';
  return {
    type,
    message: operation.reason ?? (cancelled ? 'The operation was cancelled' : 'The operation failed'),
    server: server ?? null,
    step: step ?? null,
    cause: cause ?? null,
    next: next ?? `chom op show ${operation.id}`,
    operation: operation.id,
    // It was asked for, so its other failures are no longer those of the command line that asked.
    exitStatus: type === 'Busy' ? 11 : EXIT.failed,
  };
}

/** What the problem is, where, why, and what to do now: the text on stderr. */
export function describeProblem(problem: Problem): string {
  const { server, step, cause, next, operation } = problem;
  const context = facts(
    [
      ['server', server],
      ['step', step],
      ['cause', cause],
      ['next', next],
      ['operation', operation],
    ],
    '  ',
  );
  return [`chom: ${printable(problem.message)}`, context].filter(Boolean).join('\n');
}

/** The document on stdout with --json. Its names are stable. */
export function problemDocument(problem: Problem, status: ProblemDocument['status'] = 'failed'): ProblemDocument {
  const { type, message, server, step, cause, next, operation } = problem;
  return { operation, status, error: { type, message, server, step, cause, next } };
}

function usageProblem(error: CommanderError): Problem {
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return {
    type: 'InvalidInput',
    message,
    server: null,
    step: null,
    cause: null,
    next: null,
    operation: null,
    exitStatus: EXIT.usage,
  };
}
