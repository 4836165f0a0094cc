import { z } from 'zod';
import { failure } from './failures.js';

/** Days for which a backup is kept at least. A hundred years are a typing error, not a wish. */
export const retentionDays = z.int().min(0).max(36_500);

const count = z.int().min(0).max(10_000);
const COUNTS = {
  /** Every backup of the last so many days, where its caller named no days of his own. */
  within: retentionDays,
  /** The newest of each of the last so many days that have one; and so on. */
  daily: count,
  weekly: count,
  monthly: count,
};

/** Which backups of a site are kept. */
export const retentionPolicy = z
  .strictObject(COUNTS)
  .refine(({ daily, weekly, monthly }) => daily + weekly + monthly > 0, 'it keeps no daily, weekly or monthly backup');

/** What a tenant or a site has otherwise; what it says nothing of is inherited. */
export const retentionOverride = z.strictObject(COUNTS).partial();

export type RetentionPolicy = z.infer<typeof retentionPolicy>;
export type RetentionOverride = z.infer<typeof retentionOverride>;

export const DEFAULT_RETENTION: RetentionPolicy = { within: 7, daily: 7, weekly: 4, monthly: 12 };

/**
 * The policy of a site: of each number the site's own, else its tenant's, else the default.
 * @throws InvalidInput a number is out of range, or together they keep nothing, as two overrides may that each alone keep something
 */
export function retentionOf(site: RetentionOverride, tenant: RetentionOverride): RetentionPolicy {
  const of = (name: keyof RetentionPolicy) => site[name] ?? tenant[name] ?? DEFAULT_RETENTION[name];
  const merged = { within: of('within'), daily: of('daily'), weekly: of('weekly'), monthly: of('monthly') };
  const parsed = retentionPolicy.safeParse(merged);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw failure('InvalidInput', `This is no retention policy: ${problems.join('; ')}`, {
    cause: 'what the site does not set comes from its tenant, then from the default',
    next: 'set one of --keep-daily, --keep-weekly, --keep-monthly above 0',
  });
}
