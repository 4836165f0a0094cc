import { Connection } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Config } from '../config.js';
import { SEARCH_ATTRIBUTES } from '../workflows/names.js';
import { messageOf } from '../workflows/thrown.js';
import type { Cli } from './cli.js';
import { temporalSettings } from './connection.js';
import type { Known } from './doctor-inventory.js';
import { examineSchedules } from './doctor-schedules.js';
import { probeQueue, type QueueProbe } from './doctor-probe.js';
import { examineWorkers } from './doctor-workers.js';
import { wrong, type Finding } from './findings.js';
import { duration } from './text.js';

const LIMIT_MS = 10_000;
/** Certificates, host logs and leases of minutes suffer from more than this. */
const SKEW_MS = 5000;

/** Temporal and what CHOM needs of it. Only a probe of a second is started there, and deleted again. */
export async function examineTemporal(
  environment: Cli['environment'],
  config: Config,
  known: Known,
): Promise<Finding[]> {
  let settings: ReturnType<typeof temporalSettings>;
  try {
    settings = temporalSettings(environment);
  } catch (error) {
    return [{ ...wrong('temporal', error), next: 'correct TEMPORAL_PROFILE, or the profile in temporal.toml' }];
  }
  const { connectionOptions, namespace } = settings;
  const { address } = connectionOptions;
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...connectionOptions, connectTimeout: '5 seconds' });
  } catch (error) {
    const cause = messageOf(error);
    const next = 'chom dev (a Temporal server for one machine), or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE';
    return [{ name: 'temporal', state: 'wrong', message: `Temporal does not answer at ${address}`, cause, next }];
  }
  const found: Finding[] = [{ name: 'temporal', state: 'ok', message: address }];
  try {
    return await connection.withDeadline(Date.now() + LIMIT_MS, async () => {
      const ofNamespace = await examineNamespace(connection, namespace, address);
      found.push(ofNamespace);
      if (ofNamespace.state === 'wrong') return found;
      found.push(await examineAttributes(connection, namespace), await examineSchedules(connection, namespace));
      const probe = await probeQueue(connection, namespace).catch((error: unknown) => reasonOf(error));
      found.push(clockFinding(probe), priorityFinding(probe));
      const offset = typeof probe === 'string' ? 0 : probe.serverAheadMs;
      found.push(await examineWorkers(connection, { namespace, taskQueue: config.taskQueue, known, offset }));
      return found;
    });
  } catch (error) {
    return [
      ...found,
      { name: 'temporal', state: 'wrong', message: `${address} stopped answering: ${reasonOf(error)}` },
    ];
  } finally {
    await connection.close();
  }
}

async function examineNamespace(connection: Connection, namespace: string, address: string): Promise<Finding> {
  const name = 'namespace';
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return { name, state: 'ok', message: namespace };
  } catch (error) {
    // gRPC's NOT_FOUND; anything else may be a permission that only operators have.
    if (Reflect.get(Object(error), 'code') !== 5) return { name, state: 'unknown', message: reasonOf(error) };
    return {
      name,
      state: 'wrong',
      message: `Temporal at ${address} has no namespace ${namespace}`,
      cause: 'TEMPORAL_NAMESPACE or the profile names another one than was made',
      next: `set TEMPORAL_NAMESPACE, or: temporal operator namespace create --address ${address} --namespace ${namespace}`,
    };
  }
}

async function examineAttributes(connection: Connection, namespace: string): Promise<Finding> {
  const name = 'search-attributes';
  const wanted = Object.values(SEARCH_ATTRIBUTES).map((attribute) => attribute.name);
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const keyword = proto.temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD;
    const missing = wanted.filter((one) => !Object.hasOwn(customAttributes, one));
    const other = wanted.filter((one) => Object.hasOwn(customAttributes, one) && customAttributes[one] !== keyword);
    if (missing.length + other.length === 0) return { name, state: 'ok', message: wanted.join(', ') };
    const create = `temporal operator search-attribute create --namespace ${namespace}`;
    return {
      name,
      state: 'wrong',
      message: [
        missing.length > 0 ? `Namespace ${namespace} has no search attribute ${missing.join(', ')}` : '',
        other.length > 0 ? `${other.join(', ')} is of another type than keyword` : '',
      ]
        .filter(Boolean)
        .join('; '),
      cause: 'operations are started with them, and are refused without',
      next:
        missing.length > 0
          ? `${create}${missing.map((one) => ` --name ${one} --type Keyword`).join('')}`
          : `temporal operator search-attribute remove --namespace ${namespace} --name ${other[0]}, then create it`,
    };
  } catch (error) {
    return { name, state: 'unknown', message: `Temporal does not say: ${reasonOf(error)}` };
  }
}

function clockFinding(probe: QueueProbe | string): Finding {
  const name = 'clock';
  if (typeof probe === 'string') return { name, state: 'unknown', message: `Temporal does not say: ${probe}` };
  const { serverAheadMs } = probe;
  const away = duration(Math.abs(serverAheadMs));
  if (Math.abs(serverAheadMs) <= SKEW_MS) return { name, state: 'ok', message: `${away} from Temporal's` };
  return {
    name,
    state: 'wrong',
    message: `This machine's clock is ${away} ${serverAheadMs > 0 ? 'behind' : 'ahead of'} Temporal's`,
    cause: 'the clock of one of the two machines is not kept right',
    next: 'timedatectl set-ntp true (on both)',
  };
}

function priorityFinding(probe: QueueProbe | string): Finding {
  const name = 'priorities';
  if (typeof probe === 'string') return { name, state: 'unknown', message: `Temporal does not say: ${probe}` };
  if (probe.priorities) return { name, state: 'ok', message: 'Temporal keeps them' };
  return {
    name,
    state: 'wrong',
    message: 'Temporal ignores priorities, and with them the turns of tenants',
    cause: 'its dynamic configuration does not turn them on',
    next: 'set matching.useNewMatcher and matching.enableFairness to true there (chom dev does)',
  };
}

function reasonOf(error: unknown): string {
  const details: unknown = Reflect.get(Object(error), 'details');
  if (typeof details === 'string' && details !== '') return details;
  return messageOf(error);
}
