import { failure } from '../workflows/failures.js';
import { quoted } from './text.js';

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A point in the past as people write it: so long ago (`30m`, `24h`, `7d`), or a date of ISO 8601, in UTC unless it says another
 * zone. `now` in milliseconds; returns ISO-8601 UTC. @throws InvalidInput
 */
export function parseSince(text: string, now: number): string {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(now - Number(count) * (UNITS[unit] ?? 0)).toISOString();
  const [, date, time = '00:00', zone = 'Z'] =
    /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? [];
  const at = Date.parse(`${date}T${time}${zone}`);
  // Date.parse takes the 31st of February for the 3rd of March.
  if (date !== undefined && isDay(date) && !Number.isNaN(at)) return new Date(at).toISOString();
  throw failure('InvalidInput', `${quoted(text)} is no time`, {
    next: 'say how long ago, as 30m, 24h or 7d; or a date, as 2026-01-31 or 2026-01-31T12:00Z',
  });
}

function isDay(date: string): boolean {
  const at = Date.parse(`${date}T00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}
