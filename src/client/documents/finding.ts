import { z } from 'zod';
import { maybeTime, named, text } from './values.js';

/** What a doctor saw. */
export const check = named(
  'Check',
  z.strictObject({
    name: z.string(),
    state: z.enum(['ok', 'wrong', 'unknown']),
    message: z.string(),
    cause: text,
    next: text,
  }),
);

export const checked = { ok: z.boolean(), checks: z.array(check) };

/** What is wrong until it is gone. */
export const finding = named(
  'Finding',
  z.strictObject({
    name: z.string(),
    severity: z.enum(['warning', 'serious']),
    site: text,
    message: z.string(),
    cause: text,
    next: text,
    since: maybeTime,
    lastSeenAt: maybeTime,
  }),
);

export const health = named('Health', z.strictObject({ checkedAt: maybeTime, open: z.int(), serious: z.int() }));
export type CheckDocument = z.infer<typeof check>;
export type FindingDocument = z.infer<typeof finding>;
export type HealthDocument = z.infer<typeof health>;
