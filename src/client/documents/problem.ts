import { z } from 'zod';
import { named, text } from './values.js';

/** Why something failed. */
export const error = named(
  'Failure',
  z.strictObject({
    type: z.string().describe('One of CHOM’s types of failure'),
    message: z.string(),
    server: text,
    step: text,
    cause: text,
    next: text,
  }),
);

/** What every command prints where it fails, or what it asked for does. */
export const problem = named(
  'Problem',
  z.strictObject({
    operation: text,
    status: z.enum(['failed', 'cancelled', 'running']),
    error,
    warnings: z.array(z.string()).optional(),
    batch: z.string().optional(),
  }),
);
export type ProblemDocument = z.infer<typeof problem>;
