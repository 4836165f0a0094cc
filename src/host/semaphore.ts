/** Lets at most so many at a time through, first come first served. */
export interface Semaphore {
  /** Runs `work` when there is room. A waiter whose `signal` aborts leaves the line with the signal's reason. */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function createSemaphore(places: number): Semaphore {
  let free = places;
  const line: (() => void)[] = [];

  async function enter(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (free > 0) {
      free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        line.splice(line.indexOf(granted), 1);
        reject(signal?.reason as Error);
      };
      const granted = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      line.push(granted);
    });
  }

  return {
    async run(work, signal) {
      await enter(signal);
      try {
        return await work();
      } finally {
        // The place passes straight to the next in line, so that nobody can jump it.
        const next = line.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}
