/** Waits for `work`, which goes on for others, but not beyond the abort of `signal`, whose reason is then thrown. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  signal.throwIfAborted();
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
  });
  return await Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
