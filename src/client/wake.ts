import type { Client } from '@temporalio/client';

/**
 * Tells operations that they have their place. Never fails: a message that gets lost costs time only, since they also
 * look for themselves, and one whose workflow has not been started finds its place when it begins.
 */
export async function wakeOperations(temporal: Client, ids: readonly string[]): Promise<void> {
  const tell = async (id: string) => await temporal.workflow.getHandle(id).signal('granted');
  // Only what is sent in there has the deadline.
  await temporal.withDeadline(Date.now() + 5000, async () => await Promise.allSettled(ids.map(tell)));
}
