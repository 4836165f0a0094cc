import { setTimeout as sleep } from 'node:timers/promises';
import type { Visit } from './rig-visit.js';

/** What visitors of a site went through. */
export interface Visits {
  answered: number;
  /** Why each of the others failed. */
  failed: string[];
  /** Milliseconds that the slowest took, and that one in a hundred exceeded. */
  slowest: number;
  p99: number;
}

/**
 * Visits at a steady rate, each on a connection of its own and without waiting for the ones before, until `end`. An
 * answer counts when `isGood` says so.
 */
export function startTraffic(perSecond: number, visit: () => Promise<Visit>, isGood: (answer: Visit) => boolean) {
  const took: number[] = [];
  const failed: string[] = [];
  const open = new Set<Promise<void>>();
  const ending = new AbortController();
  const one = async () => {
    const asked = performance.now();
    try {
      const answer = await visit();
      if (isGood(answer)) took.push(performance.now() - asked);
      else failed.push(`${answer.status}: ${answer.body.slice(0, 100)}`);
    } catch (error) {
      failed.push(String(error));
    }
  };
  const visiting = (async () => {
    for (let next = performance.now(); !ending.signal.aborted;) {
      const visited: Promise<void> = one().finally(() => open.delete(visited));
      open.add(visited);
      // What was missed while this process stood still does not come at once: no visitor would.
      next = Math.max(next + 1000 / perSecond, performance.now());
      await sleep(next - performance.now());
    }
  })();
  return {
    async end(): Promise<Visits> {
      ending.abort();
      await visiting;
      await Promise.all(open);
      const sorted = took.toSorted((a, b) => a - b);
      const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
      return { answered: took.length, failed, slowest: at(1), p99: at(0.99) };
    },
  };
}
