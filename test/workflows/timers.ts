import type { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';

/** How long each timer of a workflow was to run, in seconds, in the order in which they were started. */
export function timersOf({ events }: ReturnType<typeof historyFromJSON>): number[] {
  return (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
    timer ? [Number(timer.startToFireTimeout?.seconds ?? 0) + (timer.startToFireTimeout?.nanos ?? 0) / 1e9] : [],
  );
}

/** The same, but for the clock that watches for twice what the operation is expected to take; so long it runs. */
export function waitsOf(history: ReturnType<typeof historyFromJSON>, clock: number): number[] {
  return timersOf(history).filter((seconds) => seconds !== clock);
}
