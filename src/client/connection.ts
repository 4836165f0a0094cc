import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import type { DataConverter } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Keyring } from '../inventory/keyring.js';
import { failure } from '../workflows/failures.js';
import { payloadCodec } from './payload-codec.js';

/** Where Temporal is: what operations' rows remember as their cluster and namespace. */
export interface TemporalAddress {
  address: string;
  namespace: string;
}

/** How everything that reaches Temporal is sealed; the same for client, worker and replay. */
export function sealedDataConverter(keyring: Keyring): DataConverter {
  return {
    payloadCodecs: [payloadCodec(keyring)],
    // Temporal's SDK requires this file by path and wants it built, also where the rest runs from source.
    failureConverterPath: fileURLToPath(new URL('../../dist/workflows/failure-converter.js', import.meta.url)),
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Connection settings as every Temporal tool reads them: `TEMPORAL_*`, else the profile, else localhost:7233. */
export function temporalSettings(environment: Environment = process.env) {
  const variables = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const settings = loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(variables) });
  return {
    connectionOptions: {
      ...settings.connectionOptions,
      address: loopback(settings.connectionOptions.address ?? 'localhost:7233'),
    },
    namespace: settings.namespace ?? 'default',
  };
}

/** One spelling of this machine: an operation's row remembers the address, and is looked for only there. */
function loopback(address: string): string {
  return address.replace(/^localhost:/, '127.0.0.1:');
}

/** Connects within 5 s. Throws `TemporalUnavailable` naming the address. */
export async function connectTemporal(keyring: Keyring, environment?: Environment): Promise<Client & TemporalAddress> {
  const { connectionOptions, namespace } = temporalSettings(environment);
  const { address } = connectionOptions;
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '5 seconds' });
    const client = new Client({ connection, namespace, dataConverter: sealedDataConverter(keyring) });
    return Object.assign(client, { address, namespace });
  } catch (error) {
    throw failure('TemporalUnavailable', `Temporal does not answer at ${address}`, {
      cause: error instanceof Error ? error.message : String(error),
      next: 'chom dev (a Temporal server for one machine), or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE',
    });
  }
}
