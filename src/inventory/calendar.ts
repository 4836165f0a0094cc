import { failure } from '../workflows/failures.js';

export const DAY_MILLISECONDS = 24 * 60 * 60_000;

/** The day, ISO week and month that an instant lies in: `2026-11-24`, `2026-W48`, `2026-11`. */
export interface Dates {
  day: string;
  week: string;
  month: string;
}

/**
 * Tells of instants (milliseconds since the epoch) where they lie in the calendar of a timezone (`UTC`, `Europe/Berlin`).
 * A day that is 23 or 25 hours long is one day.
 * @throws InvalidInput there is no such timezone
 */
export function calendar(timezone: string): (instant: number) => Dates {
  const format = formatter(timezone);
  return (instant) => {
    const parts = new Map(format.formatToParts(instant).map(({ type, value }) => [type, value]));
    const [year = '', month = '', day = ''] = [parts.get('year'), parts.get('month'), parts.get('day')];
    return {
      day: `${year}-${month}-${day}`,
      week: isoWeek(Date.UTC(Number(year), Number(month) - 1, Number(day))),
      month: `${year}-${month}`,
    };
  };
}

/** ISO 8601: weeks begin on Monday, and belong to the year that their Thursday is in. */
function isoWeek(midnight: number): string {
  const sinceMonday = (new Date(midnight).getUTCDay() + 6) % 7;
  const thursday = midnight + (3 - sinceMonday) * DAY_MILLISECONDS;
  const year = new Date(thursday).getUTCFullYear();
  const week = 1 + Math.floor((thursday - Date.UTC(year, 0, 1)) / (7 * DAY_MILLISECONDS));
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function formatter(timeZone: string): Intl.DateTimeFormat {
  try {
    // The locale's own calendar and digits would depend on the machine.
    const locale = 'en-u-ca-iso8601-nu-latn';
    return new Intl.DateTimeFormat(locale, { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw failure('InvalidInput', `There is no timezone ${JSON.stringify(timeZone)}`, {
      cause: 'it is UTC, or REGION/CITY as in the tz database',
      next: 'timedatectl list-timezones',
    });
  }
}
