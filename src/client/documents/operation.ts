import { z } from 'zod';
import { error, problem } from './problem.js';
import { maybeTime, named, text, time } from './values.js';

export const obligation = named(
  'Obligation',
  z.strictObject({ operation: z.string(), name: z.string(), due: time, tries: z.int() }),
);

const status = z.enum(['running', 'waiting', 'succeeded', 'failed', 'cancelled', 'deferred', 'delayed']);

/** An operation, without its steps. */
export const operation = named(
  'Operation',
  z.strictObject({
    operation: z.string().describe('Its id'),
    kind: z.string(),
    status,
    state: z.enum(['asked', 'waiting', 'running', 'ended']),
    parent: text,
    warnings: z.array(z.string()),
    askedAt: time,
    startsAt: maybeTime.describe('It begins not before that'),
    startedAt: maybeTime,
    endedAt: maybeTime,
    error: error.nullable(),
  }),
);

const inTheWay = z.strictObject({ operation: z.string(), kind: text, site: text, since: time });

const line = named(
  'Line',
  z.strictObject({ position: z.int(), waiting: z.int(), since: time, inTheWay: z.array(inTheWay) }),
).nullable();

const milliseconds = z.number().describe('Milliseconds since 1970');

const step = named(
  'Step',
  z.strictObject({
    index: z.int(),
    label: z.string(),
    state: z.enum(['running', 'waiting', 'done', 'skipped', 'failed', 'undoing', 'undone', 'not-undone']),
    attempt: z.int(),
    startedAt: milliseconds,
    endedAt: milliseconds.optional(),
    message: z.string().optional(),
    amount: z
      .strictObject({
        phase: z.string(),
        done: z.number(),
        files: z.number(),
        bytes: z.number(),
        totalBytes: z.number(),
      })
      .optional(),
    failures: z
      .array(
        z.strictObject({
          attempt: z.int(),
          at: milliseconds,
          type: z.string(),
          message: z.string(),
          output: z.string().optional(),
        }),
      )
      .optional(),
  }),
);

export const operations = z.strictObject({ operations: z.array(operation.extend({ line })) });
export const wholeOperation = operation.extend({ line, steps: z.array(step), obligations: z.array(obligation) });

export const loggedOperation = operation.extend({
  log: z.array(
    z.strictObject({
      at: time,
      operation: z.string(),
      what: z.enum(['asked', 'begun', 'step', 'failure', 'undo', 'event', 'ended']),
      name: z.string(),
      state: z.string().optional(),
      attempt: z.int().optional(),
      tookMs: z.number().optional(),
      type: z.string().optional(),
      message: z.string().optional(),
      output: z.string().optional(),
    }),
  ),
});

/** An operation that goes on by itself: it was not waited for, or not to its end. */
const goingOn = named('GoingOn', z.strictObject({ operation: z.string(), status, startsAt: time.optional() }));

const succeeded = named(
  'Succeeded',
  z.strictObject({ operation: z.string(), status: z.literal('succeeded'), warnings: z.array(z.string()) }),
);

/** What is told in the end of an operation that a command has followed; `told`: of what it was for. */
export function followed(told: z.ZodRawShape = {}) {
  return z.union([goingOn, ended(told)]);
}

function ended(told: z.ZodRawShape) {
  return Object.keys(told).length === 0 ? succeeded : succeeded.extend(told);
}

/** One of several, each of which may have failed; `of` says which it is. */
export function eachFollowed(of: z.ZodRawShape, told: z.ZodRawShape = {}) {
  return z.array(z.union([goingOn.extend(of), ended({ ...told, ...of }), problem.extend(of)]));
}

export const cancelled = z.strictObject({ operation: z.string(), status: z.enum(['cancelled', 'running']) });

export const retried = z.strictObject({
  retried: z.array(z.strictObject({ operation: z.string(), target: z.string(), retry: text, reason: text })),
});
export const forgotten = z.strictObject({ forgotten: z.array(z.string()) });
export type OperationDocument = z.infer<typeof operation>;
export type ObligationDocument = z.infer<typeof obligation>;
