import { describe, expect, it } from 'vitest';
import { createSemaphore } from '../../src/host/semaphore.js';

/** Work that ends when it is told to. */
function piece() {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { end, work: async () => await ended };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('createSemaphore', () => {
  it('lets so many through, and the others in the order in which they came', async () => {
    const semaphore = createSemaphore(2);
    const begun: number[] = [];
    const all = [0, 1, 2, 3].map(() => piece());
    const runs = all.map(({ work }, n) =>
      semaphore.run(async () => {
        begun.push(n);
        await work();
      }),
    );
    await turn();
    expect(begun).toEqual([0, 1]);
    all[1]?.end();
    await turn();
    expect(begun).toEqual([0, 1, 2]);
    for (const { end } of all) end();
    await Promise.all(runs);
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('frees the place of work that failed', async () => {
    const semaphore = createSemaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await semaphore.run(() => Promise.resolve('next'))).toBe('next');
  });

  it('lets a waiter leave the line, and the place is not lost', async () => {
    const semaphore = createSemaphore(1);
    const first = piece();
    const running = semaphore.run(first.work);
    const leaving = new AbortController();
    const waiting = semaphore.run(() => Promise.resolve('never'), leaving.signal);
    const after = semaphore.run(() => Promise.resolve('after'));
    leaving.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    first.end();
    expect(await after).toBe('after');
    await running;
  });
});
