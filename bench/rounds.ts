import { loadavg } from 'node:os';

/** One way to do the thing that is compared. */
export interface Contender {
  name: string;
  /** What has to be there before, and is not timed. */
  prepare?: (turn: string) => Promise<void>;
  /** Does it once; `turn` is never the same twice. Throws unless it was seen to be done. */
  once: (turn: string) => Promise<void>;
  /** How it says that a defect of its own got in its way: that turn is not counted, and taken again. */
  defect?: RegExp;
}

/** What a contender took, each round, in milliseconds. */
export interface Timed {
  name: string;
  times: number[];
  median: number;
  /** So many turns its own defect cost it. */
  spoilt: number;
}

/** So often a defect may come in a row. */
const TRIES = 5;

/**
 * Has the contenders take turns, A B C A B C, so that what else the machine does meets all of them alike. A first turn of
 * each is not counted: connections are opened there, accounts made, caches filled.
 */
export async function takeTurns(rounds: number, contenders: readonly Contender[]): Promise<Timed[]> {
  const taken = contenders.map(({ name }) => ({ name, times: [] as number[], spoilt: 0 }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [place, contender] of contenders.entries()) {
      const { time, spoilt } = await oneTurn(contender, `${round}-${place}`);
      const its = taken[place];
      if (!its) continue;
      its.spoilt += spoilt;
      if (round > 0) its.times.push(time);
    }
  }
  return taken.map((its) => ({ ...its, median: median(its.times) }));
}

async function oneTurn({ prepare, once, defect }: Contender, name: string): Promise<{ time: number; spoilt: number }> {
  for (let spoilt = 0; ; spoilt += 1) {
    const turn = spoilt === 0 ? name : `${name}-${spoilt}`;
    await prepare?.(turn);
    try {
      return { time: await timed(async () => await once(turn)), spoilt };
    } catch (error) {
      if (spoilt === TRIES || !defect?.test(String(error))) throw error;
    }
  }
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
