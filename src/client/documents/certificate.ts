import { z } from 'zod';
import { maybeTime, named, text, time } from './values.js';

export const certificate = named(
  'Certificate',
  z.strictObject({
    id: z.string(),
    names: z.array(z.string()),
    serial: z.string(),
    fingerprint: z.string(),
    issuer: z.string(),
    notBefore: time,
    notAfter: time,
    state: z.enum(['issued', 'installed', 'replaced']),
  }),
);

export const renewal = named(
  'Renewal',
  z.strictObject({
    next: maybeTime,
    due: maybeTime,
    heldUntil: maybeTime,
    window: z.strictObject({ start: time, end: time }).nullable(),
    explanation: text,
    failing: z
      .strictObject({ failures: z.int(), failingSince: maybeTime, failedAt: maybeTime, type: text, reason: text })
      .nullable(),
    operation: text,
    stage: z.enum(['overdue', 'fifth', 'twentieth', 'expired']).nullable(),
  }),
);

export const certificates = z.strictObject({
  certificates: z.array(certificate.extend({ site: z.string(), renewal: renewal.nullable() })),
});

/** Certificates whose renewal was asked for together. */
export const renewed = z.strictObject({
  operations: z.array(z.string()),
  left: z.int().describe('So many are taken up by a worker later'),
  failed: z.array(z.string()),
});

export const account = { authority: z.string().optional(), account: z.string().optional() };
export type CertificateDocument = z.infer<typeof certificate>;
export type RenewalDocument = z.infer<typeof renewal>;
