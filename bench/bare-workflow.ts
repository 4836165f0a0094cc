import { proxyActivities } from '@temporalio/workflow';

const { nothing } = proxyActivities<{ nothing(): Promise<void> }>({ startToCloseTimeout: '1 minute' });

/** The least that Temporal can be asked for: one activity, which does nothing. */
export async function bare(): Promise<void> {
  await nothing();
}
