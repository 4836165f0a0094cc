import type { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';

/** How long each timer of a workflow was to run, in seconds, in the order in which they were started. */
export function timersOf({ events }: ReturnType<typeof historyFromJSON>): number[] {
  return (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
    timer ? [Number(timer.startToFireTimeout?.seconds ?? 0) + (timer.startToFireTimeout?.nanos ?? 0) / 1e9] : [],
  );
}
