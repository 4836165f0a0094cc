import { loadavg } from 'node:os';

/** One way to do the thing that is compared. */
export interface Contender {
  name: string;
  /** What has to be there before, and is not timed. */
  prepare?: (turn: string) => Promise<void>;
  /** Does it once; `turn` is never the same twice. Throws unless it was seen to be done. */
  once: (turn: string) => Promise<void>;
}

/** What a contender took, each round, in milliseconds. */
export interface Timed {
  name: string;
  times: number[];
  median: number;
}

/**
 * Has the contenders take turns, A B C A B C, so that what else the machine does meets all of them alike. A first turn of
 * each is not counted: connections are opened there, accounts made, caches filled.
 */
export async function takeTurns(rounds: number, contenders: readonly Contender[]): Promise<Timed[]> {
  const taken = contenders.map(({ name }) => ({ name, times: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [place, { prepare, once }] of contenders.entries()) {
      const turn = `${round}-${place}`;
      await prepare?.(turn);
      const time = await timed(async () => await once(turn));
      if (round > 0) taken[place]?.times.push(time);
    }
  }
  return taken.map(({ name, times }) => ({ name, times, median: median(times) }));
}

/** Milliseconds that it took. */
export async function timed(fn: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await fn();
  return performance.now() - started;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** How much else the machine had to do: the load of the last minute. */
export function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}
