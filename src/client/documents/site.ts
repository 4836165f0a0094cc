import { z } from 'zod';
import { SITE_TYPES } from '../../workflows/plans.js';
import { certificate } from './certificate.js';
import { obligation, operation } from './operation.js';
import { named, text, time } from './values.js';

const days = z.int();
export const policy = named('Policy', z.strictObject({ within: days, daily: days, weekly: days, monthly: days }));
export const policyOverride = policy.partial();

export const site = named(
  'Site',
  z.strictObject({
    id: z.string(),
    domain: z.string(),
    aliases: z.array(z.string()),
    type: z.enum(SITE_TYPES),
    php: text,
    database: text,
    server: z.string(),
    tls: z.boolean(),
    status: z.enum(['provisioning', 'active', 'failed', 'removed', 'restoring', 'suspended', 'deleting']),
    suspended: z.strictObject({ since: time, reason: text }).nullable(),
    tags: z.array(z.string()),
    createdAt: time,
  }),
);

export const sites = z.strictObject({ sites: z.array(site) });

/** A site with the certificate that it serves. */
export const toldSite = {
  site,
  certificate: certificate.nullable(),
  obligations: z.array(obligation),
  retention: policy,
};

export const wholeSite = z.strictObject({ ...toldSite, lastOperation: operation.nullable() });

/** The first login of an application, which is shown once. */
export const login = { admin: z.strictObject({ user: z.string(), password: z.string() }) };

/** Which backups of it are kept, and what schedules do for it. */
export const setSite = z.strictObject({
  site: z.string(),
  retention: policyOverride,
  policy,
  timezone: z.string(),
  scheduledBackups: z.boolean(),
  backupStorage: text,
});

export const taggedSite = z.strictObject({ site: z.string(), tags: z.array(z.string()) });

export const deletedSite = {
  site: site.pick({ id: true, domain: true, status: true }),
  backup: text,
  certificate: z.strictObject({ path: z.string(), until: time }).nullable(),
};
export type SiteDocument = z.infer<typeof site>;
