import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Build } from './build-id.js';
import type { TemporalAddress } from './connection.js';

type Temporal = Client & TemporalAddress;

/** `WORKER_DEPLOYMENT_VERSION_STATUS_…` of temporal.api.enums.v1, by number. */
const STATES = ['unknown', 'inactive', 'current', 'ramping', 'draining', 'drained'] as const;
const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;
/** A worker that has just started comes to its task queues one after the other. */
const ARRIVES_MS = 10_000;

/** A build of the workers that Temporal knows. */
export interface KnownBuild {
  build: string;
  /** `draining`: operations that it began still run, so its workers have to stay. `drained`: they may go. */
  state: (typeof STATES)[number];
}

/** The builds of a deployment, the newest first; none where no worker of it has ever come. @throws TemporalUnavailable */
export async function listBuilds(temporal: Temporal, deploymentName: string): Promise<KnownBuild[]> {
  const { namespace, workflowService } = temporal;
  try {
    const { workerDeploymentInfo } = await workflowService.describeWorkerDeployment({ namespace, deploymentName });
    const known = workerDeploymentInfo?.versionSummaries ?? [];
    return known
      .toSorted((a, b) => Number(b.createTime?.seconds ?? 0) - Number(a.createTime?.seconds ?? 0))
      .map(({ deploymentVersion, status }) => ({
        build: deploymentVersion?.buildId ?? '',
        state: STATES[Number(status)] ?? 'unknown',
      }));
  } catch (error) {
    if (codeOf(error) === NOT_FOUND) return [];
    throw refused(error, `The builds of ${deploymentName} cannot be listed`, 'chom doctor');
  }
}

/** Whether new operations go to this build. @throws TemporalUnavailable */
export async function isCurrent(temporal: Temporal, { deploymentName, buildId }: Build): Promise<boolean> {
  const builds = await listBuilds(temporal, deploymentName);
  return builds.some(({ build, state }) => build === buildId && state === 'current');
}

/**
 * Makes a build the one that new operations, and the long-lived workflows, go to; done twice it changes nothing. What runs
 * already stays with the build that began it.
 * @throws NotFound no worker of that build has come; InvalidInput it does not serve all that the current one does
 */
export async function promote(temporal: Temporal, { deploymentName, buildId }: Build): Promise<void> {
  const { namespace, workflowService } = temporal;
  const what = `Build ${buildId} cannot become the current one of ${deploymentName}`;
  if (!(await listBuilds(temporal, deploymentName)).some(({ build }) => build === buildId)) {
    throw failure('NotFound', what, {
      cause: 'no worker of it has come yet',
      next: `start one (chom worker, with CHOM_DEPLOYMENT=${deploymentName}), then: chom worker promote ${buildId}`,
    });
  }
  for (const deadline = Date.now() + ARRIVES_MS; ; await sleep(250)) {
    try {
      await workflowService.setWorkerDeploymentCurrentVersion({ namespace, deploymentName, buildId, identity: 'chom' });
      return;
    } catch (error) {
      if (codeOf(error) !== FAILED_PRECONDITION) throw refused(error, what, 'chom doctor');
      if (Date.now() < deadline) continue;
      throw failure('InvalidInput', what, {
        cause: messageOf(error),
        next: `start its workers on each task queue that the current build serves, then: chom worker promote ${buildId}`,
      });
    }
  }
}

function refused(error: unknown, message: string, next: string): Error {
  return failure('TemporalUnavailable', message, { cause: messageOf(error), next });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
