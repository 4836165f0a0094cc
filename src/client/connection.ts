import { fileURLToPath } from 'node:url';
import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import { defaultPayloadConverter, type DataConverter, type LoadedDataConverter } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Keyring } from '../inventory/keyring.js';
import { failure } from '../workflows/failures.js';
import { failureConverter } from '../workflows/failure-converter.js';
import { messageOf } from '../workflows/thrown.js';
import { payloadCodec } from './payload-codec.js';

/** Where Temporal is: what operations' rows remember as their cluster and namespace. */
export interface TemporalAddress {
  address: string;
  namespace: string;
}

/** How everything that reaches Temporal is sealed, for workers and replay; clients do the same. */
export function sealedDataConverter(keyring: Keyring): DataConverter {
  return {
    payloadCodecs: [payloadCodec(keyring)],
    // Temporal's SDK requires this file by path and wants it built, also where the rest runs from source.
    failureConverterPath: fileURLToPath(new URL('../../dist/workflows/failure-converter.js', import.meta.url)),
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Connection settings as every Temporal tool reads them: `TEMPORAL_*`, else the profile, else localhost:7233.
 * @throws InvalidInput a profile that there is not, a file that cannot be read
 */
export function temporalSettings(environment: Environment = process.env) {
  // An empty one is none, as with CHOM's own; Temporal's would take an empty address for one.
  const variables = Object.entries(environment).filter((entry): entry is [string, string] => !!entry[1]);
  const { connectionOptions, namespace = 'default' } = loaded(Object.fromEntries(variables));
  const { address } = connectionOptions;
  return {
    connectionOptions: { ...connectionOptions, address: loopback(address ?? 'localhost:7233') },
    namespace,
    /** Somebody has said where Temporal is. */
    configured: address !== undefined,
  };
}

function loaded(overrideEnvVars: Record<string, string>): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig({ overrideEnvVars });
  } catch (error) {
    throw failure('InvalidInput', 'The settings of the Temporal connection cannot be read', {
      cause: messageOf(error),
      next: 'correct the TEMPORAL_* variable, or the profile and the files that temporal.toml names',
    });
  }
}

/** One spelling of this machine: an operation's row remembers the address, and is looked for only there. */
function loopback(address: string): string {
  return address.replace(/^localhost:/, '127.0.0.1:');
}

/** Connects within 5 s. @throws TemporalUnavailable naming the address */
export async function connectTo(options: ConnectionOptions): Promise<Connection> {
  try {
    return await Connection.connect({ ...options, connectTimeout: '5 seconds' });
  } catch (error) {
    throw failure('TemporalUnavailable', `Temporal does not answer at ${options.address}`, {
      cause: messageOf(error),
      next: 'chom dev (a Temporal server for one machine), or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE',
    });
  }
}

/** Connects as `temporalSettings` says, sealed with the keyring. @throws TemporalUnavailable; InvalidInput */
export async function connectTemporal(keyring: Keyring, environment?: Environment): Promise<Client & TemporalAddress> {
  const { connectionOptions, namespace } = temporalSettings(environment);
  const connection = await connectTo(connectionOptions);
  const dataConverter: LoadedDataConverter & DataConverter = {
    // Loaded by its path it would bring all of Temporal's packages a second time: a quarter of a second for each command.
    ...{ payloadConverter: defaultPayloadConverter, failureConverter },
    payloadCodecs: [payloadCodec(keyring)],
  };
  const client = new Client({ connection, namespace, dataConverter });
  return Object.assign(client, { address: connectionOptions.address, namespace });
}
