/** Whether somebody has ended the process: by Ctrl-C or a signal, or from inside. */
export interface Interruption {
  happened: boolean;
  promise: Promise<void>;
  interrupt(): void;
}

/** Takes over the signals that end a process; the second one of a kind ends it at once. */
export function interruption(): Interruption {
  let interrupt = () => {};
  const promise = new Promise<void>((resolve) => {
    interrupt = resolve;
  });
  const state: Interruption = {
    happened: false,
    promise,
    interrupt() {
      state.happened = true;
      interrupt();
    },
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => state.interrupt());
  return state;
}
