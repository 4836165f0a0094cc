import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { newSite, operationIn } from '../client/new-site-words.js';
import { startFollowing, until, type Following } from '../workflows/following.js';
import { type FullTemporal, startFullTemporal } from './temporal.js';

let temporal: FullTemporal;
let following: Following;
beforeAll(async () => {
  const onPostgres = inject('onPostgres');
  if (!onPostgres) throw new Error('npm run test:postgres');
  temporal = await startFullTemporal(onPostgres);
  following = await startFollowing(temporal);
  await following.startWorker();
});
afterAll(async () => await following?.close());

test('[QC-02] on a Temporal with PostgreSQL the same commands make a site, and it is found by its attributes', async () => {
  const running = following.start(...newSite('one.example'), '--json');
  expect([await running.ended, running.stderr]).toEqual([0, expect.stringContaining('Activate') as string]);
  const { operation: id } = JSON.parse(running.stdout) as { operation: string };
  const client = await following.chom.temporal();
  const query = `Server = "web1" and Operation = "provision-site" and ExecutionStatus = "Completed"`;
  await until('visibility', async () => {
    for await (const found of client.workflow.list({ query })) if (found.workflowId === id) return true;
    return false;
  });
  expect((await following.run('site', 'show', 'one.example')).stdout).toMatch(/^status +active$/m);
});

test.each(['SIGTERM', 'SIGKILL'] as const)(
  '[QC-02] an operation outlives a %s of Temporal, which has its state in PostgreSQL',
  async (signal) => {
    const domain = `${signal.toLowerCase()}.example`;
    const release = following.hold(domain);
    const asked = await following.run(...newSite(domain, '--detach'));
    const waiting = await following.run(...newSite(`later.${domain}`, '--detach', '--in', '1s'));
    const [first, second] = [operationIn(asked.stdout), operationIn(waiting.stdout)];
    const handle = (await following.chom.temporal()).workflow.getHandle(first);
    await until('the step is at work', async () => {
      return (await handle.describe()).raw.pendingActivities?.some((one) => one.activityType?.name === 'act');
    });
    await temporal.restart(signal);
    release();
    for (const id of [first, second]) expect((await following.run('op', 'watch', id)).status).toBe(0);
  },
);
