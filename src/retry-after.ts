/**
 * Seconds that a `Retry-After` header asks for (RFC 9110 §10.2.3: seconds, or a date). A date is measured against the
 * sender's own `Date`, so that a wrong clock here does no harm. Null where the header is missing or unreadable.
 */
export function readRetryAfter(header: unknown, date?: unknown, now = Date.now()): number | null {
  if (typeof header !== 'string' && typeof header !== 'number') return null;
  const text = String(header).trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const until = Date.parse(text);
  // Date.parse takes "-5" for a year; an HTTP date begins with the day's name.
  if (Number.isNaN(until) || !/^[A-Z]/i.test(text)) return null;
  const from = typeof date === 'string' && !Number.isNaN(Date.parse(date)) ? Date.parse(date) : now;
  return Math.max(0, Math.ceil((until - from) / 1000));
}
