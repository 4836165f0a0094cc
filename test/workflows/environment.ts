import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { DataConverter, WorkerDeploymentVersion } from '@temporalio/common';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, type NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { inject } from 'vitest';
import { timeSkippingServer } from '../../lab/programs.js';
import { coordinationActivities, type Members } from '../../src/activities/coordination.js';
import type { Deps } from '../../src/activities/deps.js';
import { operationActivities } from '../../src/activities/operation.js';
import { settlingActivities } from '../../src/activities/settling.js';
import { stepActivity } from '../../src/activities/step.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import { members } from '../../src/client/members.js';
import { openStores, type Stores } from '../../src/client/open.js';
import type { Submitter } from '../../src/client/submit.js';
import { wakeOperations } from '../../src/client/wake.js';
import { findProgram } from '../../src/client/program.js';
import { temporalCli } from '../../src/client/programs/temporal.js';
import { addSearchAttributes, DYNAMIC_CONFIG } from '../../src/client/temporal-server.js';
import type { Claim, Host } from '../../src/host/host.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import { SEARCH_ATTRIBUTES } from '../../src/workflows/names.js';
import { inventorySettings, startFullTemporal } from '../postgres/temporal.js';

/** A time-skipping Temporal, an inventory of its own, and a worker whose steps are the test's. */
export interface WorkflowEnvironment extends Submitter {
  deps: Deps;
  /** For workers of one's own. */
  connection: NativeConnection;
  /** Of the Temporal server, for its own command line. */
  address: string;
  /** With which another process has the same inventory and task queue. */
  settings: Record<string, string>;
  /** The claims under which servers were silenced; there are no servers. */
  silenced: Claim[];
  /** How operations of batches are asked for: the product's own, unless a test says otherwise. */
  members: Members;
  /** How every server fails to be silenced, if it does. */
  servers: { away: FailureType | null };
  /**
   * Runs `fn` while a worker serves the task queue with the product's lifecycle and these steps; `bundle`: of another build;
   * `version`: one that worker versioning tells from others.
   */
  withWorker<Result>(
    activities: object,
    fn: () => Promise<Result>,
    bundle?: string,
    version?: WorkerDeploymentVersion,
  ): Promise<Result>;
  /** What time it is for workflows, in milliseconds. */
  now(): Promise<number>;
  /** Lets workflow time pass. */
  pass(duration: string): Promise<void>;
  /** The history that the operation made, replayed against the same workflow code: throws when it differs. */
  replayed(operation: string, bundle?: string): Promise<ReturnType<typeof historyFromJSON>>;
  close(): Promise<void>;
}

/**
 * `time`: `skipped`, where a backoff is waited out in no time; `real`, the server that operators have. `beside`: another
 * Temporal, called `other`, on that environment's inventory.
 */
export async function startEnvironment(
  workflowBundle: string,
  time: 'skipped' | 'real' = 'skipped',
  beside?: Stores,
): Promise<WorkflowEnvironment> {
  if (!beside) quiet();
  const { config, keyring, inventory } = beside ?? (await newStores());
  const { taskQueue, home, databaseUrl } = config;
  const settings = {
    ...{ CHOM_HOME: home, CHOM_TASK_QUEUE: taskQueue },
    ...(databaseUrl !== undefined && { CHOM_DATABASE_URL: databaseUrl }),
  };
  const dataConverter = sealedDataConverter(keyring);
  const { environment, stop } = await (time === 'skipped' ? skippingServer(dataConverter) : realServer(dataConverter));
  const names = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => name);
  if (!inject('onPostgres')) await addSearchAttributes(environment.connection, 'default', names);
  const temporal = Object.assign(environment.client, { address: beside ? 'other' : 'test', namespace: 'default' });
  const log = pino({ level: 'silent' });
  const silenced: Claim[] = [];
  const servers: { away: FailureType | null } = { away: null };
  const silence = async (claim: Claim) => {
    if (servers.away) throw failure(servers.away, 'The server is away');
    silenced.push(claim);
  };
  const host = { silence } as unknown as Host;
  const leave = async () => {};
  const hosts = { for: async () => host, withKey: unreachable, offeredHostKey: unreachable, leave, close: leave };
  const wake = async (ids: readonly string[]) => await wakeOperations(temporal, ids);
  const deps: Deps = { inventory, keyring, config, hosts, controller: 'test', log, wake, restic: async () => 'restic' };
  const lifecycle = [...Object.entries(operationActivities(deps)), ...Object.entries(settlingActivities(deps))];
  const batches = members({ inventory, keyring, config, temporal });
  return {
    ...{ inventory, keyring, config, temporal, deps, silenced, servers, settings, address: environment.address },
    connection: environment.nativeConnection,
    members: batches,
    async withWorker(activities, fn, bundle = workflowBundle, version) {
      const all = [...lifecycle, ...Object.entries(activities)];
      const worker = await Worker.create({
        connection: environment.nativeConnection,
        taskQueue,
        workflowBundle: { codePath: bundle },
        activities: {
          ...Object.fromEntries(all.map(([name, activity]) => [name, stepActivity(deps, activity)])),
          ...coordinationActivities(deps, batches),
        },
        dataConverter,
        maxHeartbeatThrottleInterval: '100 milliseconds',
        ...(version && {
          workerDeploymentOptions: { useWorkerVersioning: true, version, defaultVersioningBehavior: 'PINNED' },
        }),
      });
      return await worker.runUntil(fn);
    },
    now: async () => await environment.currentTimeMs(),
    pass: async (duration) => await environment.sleep(duration as '1 second'),
    async replayed(operation, bundle = workflowBundle) {
      const made = await temporal.workflow.getHandle(operation).fetchHistory();
      const history = historyFromJSON(JSON.parse(historyToJSON(made)));
      const options = { workflowBundle: { codePath: bundle }, dataConverter, replayName: operation };
      await Worker.runReplayHistory(options, history, operation);
      return history;
    },
    async close() {
      await environment.teardown();
      await stop();
      if (beside) return;
      await inventory.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function newStores(): Promise<Stores> {
  const home = await mkdtemp(join(tmpdir(), 'chom-test-'));
  const settings = { CHOM_HOME: home, CHOM_TASK_QUEUE: `test-${randomUUID()}` };
  return await openStores({ ...settings, ...(await inventorySettings()) });
}

/** A server, and how to end what its environment does not. */
interface Started {
  environment: TestWorkflowEnvironment;
  stop(): Promise<void>;
}

const nothing = async () => {};

async function skippingServer(dataConverter: DataConverter): Promise<Started> {
  const path = await timeSkippingServer();
  const environment = await started(async () =>
    TestWorkflowEnvironment.createTimeSkipping({
      client: { dataConverter },
      server: { executable: { type: 'existing-path', path } },
    }),
  );
  return { environment, stop: nothing };
}

async function realServer(dataConverter: DataConverter): Promise<Started> {
  const onPostgres = inject('onPostgres');
  if (onPostgres) {
    const { address, stop } = await startFullTemporal(onPostgres);
    const client = { dataConverter };
    return { environment: await TestWorkflowEnvironment.createFromExistingServer({ address, client }), stop };
  }
  const path = await findProgram(temporalCli);
  const environment = await started(async () =>
    TestWorkflowEnvironment.createLocal({
      client: { dataConverter },
      server: {
        executable: { type: 'existing-path', path },
        extraArgs: DYNAMIC_CONFIG.flatMap((setting) => ['--dynamic-config-value', setting]),
      },
    }),
  );
  return { environment, stop: nothing };
}

/** The SDK gives a server 5 s to answer, which a loaded machine may need longer than; then another one is started. */
async function started(start: () => Promise<TestWorkflowEnvironment>): Promise<TestWorkflowEnvironment> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}

async function unreachable(): Promise<never> {
  throw new Error('workflow tests reach no host');
}

function quiet(): void {
  const logger = new DefaultLogger('ERROR');
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
}
