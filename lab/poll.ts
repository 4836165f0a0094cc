import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again every 50 ms until the answer is neither undefined nor false. Rejects after the limit, naming `what`. */
export async function poll<T>(what: string, limitMs: number, ask: () => Promise<T | undefined | false>): Promise<T> {
  for (const deadline = Date.now() + limitMs; ; await sleep(50)) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`after ${limitMs / 1000} s it is still not so that ${what}`);
  }
}
