import type { Priority } from './schema.js';

/** An operation that waits for a place on a server. */
export interface Waiting {
  root: string;
  tenant: string;
  site: string | null;
  /** It wants the server alone. */
  exclusive: boolean;
  priority: Priority;
  /** Lower came earlier. */
  turn: number;
  /** Milliseconds since the epoch. */
  since: number;
}

/** One that has a place. */
export interface Running {
  root: string;
  site: string | null;
  exclusive: boolean;
}

export interface Rules {
  /** So many operations at once work on the server. */
  bound: number;
  /** Milliseconds since the epoch. */
  now: number;
}

/** After so long a waiting operation counts as the next higher priority, so that a low one is not passed for ever. */
export const AGEING_MILLISECONDS = 10 * 60_000;

const RANKS: Record<Priority, number> = { high: 0, default: 1, low: 2 };

/**
 * Who on one server gets a place now, in the order in which they get it; pure. Best priority first, with ageing; then
 * tenants in turn, the one that was served longest ago first (`served`: higher is later); then first come first served.
 * One whose site is at work is passed over. One that wants the server alone lets nobody behind it pass, so that it is
 * not starved: what runs ends, and then it is its turn.
 */
export function next(
  waiting: readonly Waiting[],
  running: readonly Running[],
  served: ReadonlyMap<string, number>,
  { bound, now }: Rules,
): string[] {
  const granted: string[] = [];
  const at = [...running];
  const lastServed = new Map(served);
  let clock = Math.max(0, ...served.values());
  let line = [...waiting];
  while (at.length < bound && !at.some(({ exclusive }) => exclusive)) {
    const chosen = first(line, at, lastServed, now);
    if (!chosen) break;
    granted.push(chosen.root);
    at.push(chosen);
    line = line.filter((one) => one !== chosen);
    lastServed.set(chosen.tenant, (clock += 1));
  }
  return granted;
}

/** The first in order that could begin now; null also when one that wants the server alone is before it. */
function first(
  line: readonly Waiting[],
  at: readonly Running[],
  served: ReadonlyMap<string, number>,
  now: number,
): Waiting | null {
  const busy = new Set(at.map(({ site }) => site));
  for (const one of order(line, served, now)) {
    if (one.exclusive) return at.length === 0 ? one : null;
    if (one.site === null || !busy.has(one.site)) return one;
  }
  return null;
}

/** The line as it would be served if nothing were in anybody's way: also how positions are told. */
export function order(line: readonly Waiting[], served: ReadonlyMap<string, number>, now: number): Waiting[] {
  return line.toSorted(
    (a, b) =>
      rank(a, now) - rank(b, now) ||
      (served.get(a.tenant) ?? 0) - (served.get(b.tenant) ?? 0) ||
      a.turn - b.turn ||
      (a.root < b.root ? -1 : 1),
  );
}

function rank({ priority, since }: Waiting, now: number): number {
  return Math.max(0, RANKS[priority] - Math.floor(Math.max(0, now - since) / AGEING_MILLISECONDS));
}
