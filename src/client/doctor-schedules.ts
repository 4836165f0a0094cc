import type { Connection } from '@temporalio/client';
import { SCHEDULES } from '../schedules.js';
import { messageOf } from '../workflows/thrown.js';
import type { Finding } from './findings.js';
import { SCHEDULE_PREFIX } from './schedules.js';

/** More than there will ever be of CHOM's; a page. */
const PAGE = 1000;

/** Whether what CHOM does by itself is in Temporal. Without it nobody makes backups: told of, but it may be wanted so. */
export async function examineSchedules(connection: Connection, namespace: string): Promise<Finding> {
  const name = 'schedules';
  try {
    const { schedules } = await connection.workflowService.listSchedules({ namespace, maximumPageSize: PAGE });
    const there = new Set((schedules ?? []).map(({ scheduleId }) => scheduleId));
    const missing = SCHEDULES.filter((one) => !there.has(SCHEDULE_PREFIX + one.name)).map((one) => one.name);
    if (missing.length === 0) return { name, state: 'ok', message: `${SCHEDULES.length} are in Temporal` };
    return {
      ...{ name, state: 'unknown', message: `Not in Temporal: ${missing.join(', ')}` },
      cause: 'nothing of that is done by itself',
      next: 'chom schedule apply',
    };
  } catch (error) {
    return { name, state: 'unknown', message: `Temporal does not say: ${messageOf(error)}` };
  }
}
