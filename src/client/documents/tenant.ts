import { z } from 'zod';
import { policy, policyOverride } from './site.js';
import { maybeTime, named, time } from './values.js';

export const tenant = named(
  'Tenant',
  z.strictObject({
    id: z.string(),
    name: z.string(),
    retention: policyOverride,
    timezone: z.string(),
    createdAt: time,
  }),
);
export const newTenant = z.strictObject({ tenant, created: z.boolean() });
export const setTenant = z.strictObject({ tenant, policy });
export const tenants = z.strictObject({
  tenants: z.array(tenant.extend({ servers: z.int(), sites: z.int(), policy })),
});

/** A token of the API, without what opens it. */
export const token = named(
  'Token',
  z.strictObject({
    id: z.string(),
    name: z.string(),
    tenant: z.string(),
    scope: z.enum(['read', 'operate', 'admin']),
    state: z.enum(['good', 'expired', 'revoked']),
    createdAt: time,
    expiresAt: maybeTime,
    revokedAt: maybeTime,
    lastUsedAt: maybeTime,
  }),
);
export const newToken = token.extend({ token: z.string() });
export const tokens = z.strictObject({ tokens: z.array(token) });
export const revoked = z.strictObject({ revoked: token });
export type TokenDocument = z.infer<typeof token>;
