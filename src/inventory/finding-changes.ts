import type { FindingState } from './schema.js';

/** From when on what is seen counts: in so many checks in a row, or for so many hours. */
export type Counts = { checks: number } | { hours: number };

/** What is on record of a finding that is not resolved. */
export interface Known {
  state: Exclude<FindingState, 'resolved'>;
  /** Checks in a row that saw it, and that did not. */
  seen: number;
  missed: number;
  /** So many have to miss it before it is resolved. */
  clearsAfter: number;
  /** ISO-8601 UTC. */
  firstSeenAt: string;
}

/**
 * What becomes of it: `notice` a new row that does not count yet, `open` it counts from now on, `see` and `miss` only
 * count, `resolve` it is gone, `drop` it never counted. Only `open` and `resolve` are told to anybody.
 */
export type Change = 'notice' | 'open' | 'see' | 'miss' | 'resolve' | 'drop';

/**
 * What one check makes of one finding; pure. What comes and goes opens only after it was seen as often as it says, and
 * is resolved only after it was missed as often. `now`: milliseconds since the epoch. Null: nothing changes.
 */
export function changeOf(known: Known | null, seen: { counts: Counts } | null, now: number): Change | null {
  if (seen === null) return known === null ? null : missed(known);
  if (known?.state === 'open') return 'see';
  const times = (known?.seen ?? 0) + 1;
  const since = known === null ? now : Date.parse(known.firstSeenAt);
  const { counts } = seen;
  const enough = 'checks' in counts ? times >= counts.checks : now - since >= counts.hours * 3_600_000;
  return enough ? 'open' : known === null ? 'notice' : 'see';
}

/** So many checks in a row have to miss it before it is resolved. */
export function clearsAfter(counts: Counts): number {
  return 'checks' in counts ? Math.max(1, counts.checks) : 1;
}

function missed({ state, missed: before, clearsAfter: after }: Known): Change {
  if (state === 'noticed') return 'drop';
  return before + 1 >= after ? 'resolve' : 'miss';
}
