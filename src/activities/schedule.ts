import type { Refused, Round, RoundEnd, ScheduledWork } from '../workflows/run-schedule.js';
import type { Deps } from './deps.js';
import { beating } from './heartbeat.js';

/** What runs of schedules have done, by the same verbs that people use. */
export interface Scheduler {
  ask(round: Round): Promise<RoundEnd>;
  tell(run: { work: ScheduledWork; run: string; refused: Refused[]; left: string[] }): Promise<void>;
}

/** What runs of schedules do. No steps of an operation: there is no claim, fence or attempt. */
export function scheduleActivities(deps: Pick<Deps, 'log'>, scheduler: Scheduler) {
  return {
    /** Asks for operations, each of them once however often this is tried. @throws InventoryUnavailable; TemporalUnavailable */
    async askScheduled(round: Round): Promise<RoundEnd> {
      return await beating(deps, async () => await scheduler.ask(round));
    },

    /** Tells each tenant once what a run could not ask for. @throws InventoryUnavailable */
    async tellOfSchedule(run: { work: ScheduledWork; run: string; refused: Refused[]; left: string[] }): Promise<void> {
      await scheduler.tell(run);
    },
  };
}
