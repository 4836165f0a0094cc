import type { Whereabouts } from '../inventory/whereabouts.js';

/** What waiting in line is called in the step tree. */
export const WAIT_LABEL = 'Wait for a place';

/**
 * How long an operation in line waits before it looks for itself, in milliseconds: the message that it has its place may
 * have been lost. Longer the more are before it, and each time; spread by its id, so that a thousand do not look at once.
 */
export function lookAfter(id: string, round: number, position: number): number {
  const spread = Array.from(id).reduce((hash, letter) => (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1000, 7) / 1000;
  return Math.round((1 + spread) * Math.min(600_000, 20_000 * position * 1.5 ** round));
}

/** One line for people: what place it has, and who is in the way. */
export function describeLine({ position, waiting, inTheWay }: Whereabouts): string {
  const place = waiting === 1 ? 'next in line' : `${position} of ${waiting} in line`;
  const [first, ...more] = inTheWay;
  if (!first) return place;
  const also = more.length > 0 ? ` and ${more.length} more` : '';
  return `${place}; ${first.kind ?? 'an operation'} (${first.operation})${also} is at work since ${first.since}`;
}
