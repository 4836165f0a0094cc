import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import type { Deps } from '../../src/activities/deps.js';
import { sealedDataConverter } from '../../src/client/connection.js';
import { openStores } from '../../src/client/open.js';
import { wakeOperations } from '../../src/client/wake.js';

/**
 * What a worker in a process of its own is made of, for tests that kill it: the stores that its environment names, connections to
 * Temporal, and dependencies of activities that reach no host.
 */
export async function openProcess(address: string) {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
  const stores = await openStores(process.env);
  const { inventory, keyring, config } = stores;
  const dataConverter = sealedDataConverter(keyring);
  const connection = await NativeConnection.connect({ address });
  const client = new Client({ connection: await Connection.connect({ address }), dataConverter });
  const temporal = Object.assign(client, { address: 'test', namespace: 'default' });
  const log = pino({ level: 'silent' });
  const deps: Deps = {
    ...{ inventory, keyring, config, log, controller: 'test' },
    hosts: { for: away, withKey: away, offeredHostKey: away, leave: nothing, close: nothing },
    wake: async (ids) => await wakeOperations(temporal, ids),
    restic: async () => 'restic',
  };
  return { stores, connection, temporal, dataConverter, deps };
}

async function away(): Promise<never> {
  throw new Error('there are no hosts');
}

async function nothing(): Promise<void> {}
