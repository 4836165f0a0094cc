import { expect } from 'vitest';
import { poll } from '../../lab/poll.js';
import { listBuilds, promote } from '../../src/client/deployment.js';
import { runHere, type Ran } from '../client/command-line.js';
import type { WorkflowEnvironment } from './environment.js';

export const DEPLOYMENT = 'chom';

/** Temporal's own numbers of how a workflow is bound to a build. */
export const PINNED = 1;
export const AUTO_UPGRADE = 2;

/** The build that a workflow belongs to, and how. */
export async function bound(
  { temporal }: WorkflowEnvironment,
  id: string,
): Promise<[build: string | undefined, behavior: number]> {
  const { raw } = await temporal.workflow.getHandle(id).describe();
  const { deploymentVersion, behavior } = raw.workflowExecutionInfo?.versioningInfo ?? {};
  return [deploymentVersion?.buildId ?? undefined, Number(behavior)];
}

/** `chom worker …`, as the operator of that deployment has it. */
export async function workerCommand({ settings, address }: WorkflowEnvironment, ...words: string[]): Promise<Ran> {
  const environment = { ...settings, TEMPORAL_ADDRESS: address, CHOM_DEPLOYMENT: DEPLOYMENT };
  return await runHere(['worker', ...words, '--json'], environment);
}

/** Has new operations go to a build, as soon as a worker of it has come. */
export async function promoted(chom: WorkflowEnvironment, build: string): Promise<void> {
  await poll(`a worker of build ${build} comes`, 60_000, async () => {
    return (await listBuilds(chom.temporal, DEPLOYMENT)).some((one) => one.build === build);
  });
  const said = { status: 0, stderr: expect.stringContaining(`build ${build}`) };
  expect(await workerCommand(chom, 'promote', build)).toMatchObject(said);
  // Twice is as good as once.
  await promote(chom.temporal, { deploymentName: DEPLOYMENT, buildId: build });
}
