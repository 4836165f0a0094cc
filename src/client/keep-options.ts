import { failure } from '../workflows/failures.js';
import {
  DEFAULT_RETENTION,
  retentionOverride,
  type RetentionOverride,
  type RetentionPolicy,
} from '../workflows/retention-policy.js';
import { quoted } from './text.js';

/** As restic and borg call them. */
export const KEEP_OPTIONS = {
  within: ['--keep-within <days>', 'every backup of the last so many days'],
  daily: ['--keep-daily <n>', 'the newest of each of the last n days that have one'],
  weekly: ['--keep-weekly <n>', 'the newest of each of the last n weeks, Monday to Sunday, that have one'],
  monthly: ['--keep-monthly <n>', 'the newest of each of the last n months that have one'],
} as const;

/** Their values as commander hands them over. */
export interface KeepOptions {
  keepWithin?: string;
  keepDaily?: string;
  keepWeekly?: string;
  keepMonthly?: string;
}

/**
 * What was said of it. Whether that keeps anything at all is known only together with what is inherited: see
 * `retentionOf`.
 * @throws InvalidInput something is no whole number, or out of range
 */
export function parseKeep({ keepWithin, keepDaily, keepWeekly, keepMonthly }: KeepOptions): RetentionOverride {
  return {
    // restic and borg write days as 7d.
    ...parse('within', keepWithin?.replace(/^(\d+)d$/, '$1')),
    ...parse('daily', keepDaily),
    ...parse('weekly', keepWeekly),
    ...parse('monthly', keepMonthly),
  };
}

/** `7 daily, 4 weekly, 12 monthly, and every one of the last 7 days`. */
export function describePolicy({ within, daily, weekly, monthly }: RetentionPolicy): string {
  const counts = `${daily} daily, ${weekly} weekly, ${monthly} monthly`;
  return within === 0 ? counts : `${counts}, and every one of the last ${within} days`;
}

function parse(name: keyof RetentionPolicy, text: string | undefined): RetentionOverride {
  if (text === undefined) return {};
  const parsed = retentionOverride.safeParse({ [name]: /^\d{1,9}$/.test(text) ? Number(text) : NaN });
  if (parsed.success) return parsed.data;
  throw failure('InvalidInput', `--keep-${name} takes no ${quoted(text)}`, {
    cause: `it is a whole number from 0 to ${retentionOverride.shape[name].unwrap().maxValue}`,
    next: `--keep-${name} ${DEFAULT_RETENTION[name]}`,
  });
}
