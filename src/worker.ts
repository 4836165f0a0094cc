import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, TransportError, Worker, DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { authorities } from './activities/authorities.js';
import { createActivities } from './activities/index.js';
import { askRenewalInfo } from './activities/renewal-info.js';
import { ownBuild, workflowBundle } from './client/build-id.js';
import { isCurrent } from './client/deployment.js';
import { connectTemporal, temporalSettings, sealedDataConverter } from './client/connection.js';
import { members } from './client/members.js';
import { openStores } from './client/open.js';
import { describeProblem, problemOf } from './client/problem.js';
import { findProgram } from './client/program.js';
import { createScheduler } from './client/scheduler.js';
import type { Submitter } from './client/submit.js';
import { sweep } from './client/sweep.js';
import { workerIdentity } from './client/worker-identity.js';
import { wakeOperations } from './client/wake.js';
import { readConfig } from './config.js';
import { keepDelivering } from './delivery/deliver.js';
import { createHosts } from './host/pool.js';
import { refuseMissingKeys, controllerId } from './inventory/keys.js';
import { serverLogin } from './inventory/logins.js';
import * as workers from './inventory/workers.js';
import { resticProgram } from './restic-program.js';
import { failure } from './workflows/failures.js';

/** The composition root: settings → dependencies → activities → worker → graceful shutdown. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel, base: null }, pino.destination(2));
  quietTemporal(log);
  const stores = await openStores(process.env);
  const { keyring, inventory } = stores;
  await refuseMissingKeys(inventory, keyring);
  const controller = await controllerId(inventory);
  const hosts = createHosts({ resolve: (server) => serverLogin(inventory.db, keyring, server), log });
  const { connectionOptions, namespace } = temporalSettings();
  // First: it says what is wrong with the settings.
  const temporal = await connectTemporal(keyring);
  const connection = await NativeConnection.connect(connectionOptions);
  const identity = workerIdentity(controller, keyring);
  await inventory.transaction(async (trx) => await workers.tell(trx, identity, keyring));
  const wake = async (ids: readonly string[]) => await wakeOperations(temporal, ids);
  const restic = async () => await findProgram(resticProgram(config), { say: (line) => log.info(line) });
  const scheduler = createScheduler({ ...stores, temporal });
  const build = await ownBuild(config);
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: config.taskQueue,
    identity,
    workflowBundle: { codePath: fileURLToPath(workflowBundle) },
    activities: createActivities(
      { inventory, keyring, config, hosts, controller, log, wake, restic },
      { scheduler, members: members({ ...stores, temporal }) },
    ),
    dataConverter: sealedDataConverter(keyring),
    ...(build && {
      workerDeploymentOptions: { useWorkerVersioning: true, version: build, defaultVersioningBehavior: 'PINNED' },
    }),
    // Memory: each cached workflow costs about 1 MB; activities mostly wait for hosts.
    maxCachedWorkflows: 50,
    maxConcurrentActivityTaskExecutions: 100,
    // A cancellation reaches a step with its next heartbeat.
    maxHeartbeatThrottleInterval: '2 seconds',
    shutdownGraceTime: '20 seconds',
    shutdownForceTime: '30 seconds',
  });
  // Our parent is gone: nobody would end us.
  process.once('disconnect', () => {
    if (worker.getState() === 'INITIALIZED') process.exit(1);
    if (worker.getState() === 'RUNNING') worker.shutdown();
  });
  if (process.send && !process.connected) process.exit(1);
  log.info({ taskQueue: config.taskQueue, namespace, address: connectionOptions.address, ...build }, 'worker started');
  if (build && !(await isCurrent(temporal, build))) {
    log.warn(build, 'no new operations come to this build until: chom worker promote');
  }
  process.send?.('started');
  const sweeping = new AbortController();
  const swept = keepSweeping({ ...stores, temporal }, log, sweeping.signal).catch((error: unknown) =>
    log.error({ err: error }, 'no more sweeps'),
  );
  const told = keepTelling(stores, identity, log, sweeping.signal);
  const delivered = keepDelivering({ inventory, keyring, settings: config, controller, log }, sweeping.signal);
  try {
    await worker.run();
  } finally {
    // Whatever does not close by itself in time is closed by the end of the process.
    setTimeout(() => process.exit(), 10_000).unref();
    sweeping.abort();
    await swept;
    await delivered;
    await told;
    await hosts.close();
    await connection.close();
    await temporal.connection.close();
    await inventory.close();
  }
  log.info('worker ended');
  // A channel that is listened to would keep this process alive.
  if (process.connected) process.disconnect();
}

/** Every minute; a sweep that fails is followed by the next one. */
async function keepSweeping(chom: Submitter, log: pino.Logger, end: AbortSignal): Promise<void> {
  const known = authorities(chom.config);
  while (!end.aborted) {
    try {
      const { failures, ...found } = await sweep(
        chom,
        Date.now(),
        async (certificate) => await askRenewalInfo(known, certificate),
      );
      for (const { what, error } of failures) log.warn({ err: error }, `the sweep failed: ${what}`);
      if (Object.values(found).some((ids) => ids.length > 0)) log.info(found, 'took up what was left behind');
    } catch (error) {
      log.warn({ err: error }, 'the sweep failed');
    }
    await sleep(60_000, undefined, { signal: end }).catch(() => undefined);
  }
}

/** Which keys are held here: every half minute, and as soon as others are. `chom key rotate` waits for that. */
async function keepTelling(
  { inventory, keyring }: Pick<Submitter, 'inventory' | 'keyring'>,
  identity: string,
  log: pino.Logger,
  end: AbortSignal,
): Promise<void> {
  let [told, at] = ['', 0];
  while (!end.aborted) {
    const held = [keyring.current, ...keyring.ids].join(' ');
    if (held !== told || Date.now() - at > 30_000) {
      await inventory
        .transaction(async (trx) => await workers.tell(trx, identity, keyring))
        .then(
          () => ([told, at] = [held, Date.now()]),
          (error: unknown) => log.warn({ err: error }, 'could not tell which keys are held'),
        );
    }
    await sleep(2000, undefined, { signal: end }).catch(() => undefined);
  }
  await inventory.transaction(async (trx) => await workers.leave(trx, identity)).catch(() => undefined);
}

/** Temporal's own messages go where ours go, from warnings upwards. */
function quietTemporal(log: pino.Logger): void {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;
  const logger = new DefaultLogger('WARN', ({ level, message, meta }) => log[levels[level]]({ ...meta }, message));
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
}

/** What Temporal refuses a worker is not CHOM's defect: a namespace that is not there, a key that is not let in. */
function explained(error: unknown): unknown {
  if (!(error instanceof TransportError)) return error;
  const [, said = error.message] = /message: "([^"]+)"/.exec(error.message) ?? [];
  return failure('TemporalUnavailable', 'Temporal does not let the worker in', { cause: said, next: 'chom doctor' });
}

await main().catch((error: unknown) => {
  const problem = problemOf(explained(error));
  process.stderr.write(`${describeProblem(problem)}\n`);
  // Temporal's runtime, once installed, keeps the process alive and swallows SIGTERM: whoever restarts us would wait for ever.
  process.exit(problem.exitStatus);
});
// Listening for the parent's end keeps the channel to it open, and this process alive.
if (process.connected) process.disconnect();
