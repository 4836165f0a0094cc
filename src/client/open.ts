import { mkdir, stat } from 'node:fs/promises';
import type { Client } from '@temporalio/client';
import { readConfig, type Config } from '../config.js';
import { openInventory, type Inventory } from '../inventory/database.js';
import { openKeyring } from '../inventory/keyring-file.js';
import type { Keyring } from '../inventory/keyring.js';
import { refuseMissingKeys } from '../inventory/keys.js';
import { inventoryLocation } from '../inventory/location.js';
import type { Priority } from '../inventory/schema.js';
import * as tenants from '../inventory/tenants.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { TemporalAddress } from './connection.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** What lies on this side of Temporal: settings, the inventory, and the keys it is sealed with. */
export interface Stores {
  config: Config;
  keyring: Keyring;
  inventory: Inventory;
}

/** CHOM as its administrator has it: close it when done. */
export interface Chom extends Stores {
  /** Id of the tenant that is worked for. */
  tenant: string;
  /** How operations are asked for, whatever the verb has itself. */
  asking?: { priority?: Priority; startsAt?: string };
  /** Verbs check what they are given, and ask for nothing. Only those that batches know heed it. */
  rehearsal?: true;
  /** Connects at the first call. @throws TemporalUnavailable */
  temporal(): Promise<Client & TemporalAddress>;
  close(): Promise<void>;
}

/**
 * Opens the inventory and the keyring, which are made when there are none.
 * @throws InvalidInput settings that are wrong; InventoryUnavailable
 * @throws Forbidden others may change the files, or the keyring is not the inventory's
 */
export async function openStores(environment: Environment): Promise<Stores> {
  const config = readConfig(environment);
  await prepareHome(config.home);
  const keyring = await openKeyring(config.home);
  const inventory = await openInventory(inventoryLocation(config));
  try {
    await refuseMissingKeys(inventory, keyring);
    return { config, keyring, inventory };
  } catch (error) {
    await inventory.close();
    throw error;
  }
}

/** The same, with a Temporal connection as soon as it is needed. @throws NotFound the tenant is unknown */
export async function openChom(environment: Environment = process.env): Promise<Chom> {
  const stores = await openStores(environment);
  const { inventory, keyring, config } = stores;
  let client: Promise<Client & TemporalAddress> | undefined;
  try {
    const { id: tenant } = await tenants.byName(inventory.db, config.tenant);
    return {
      ...stores,
      tenant,
      async temporal() {
        // Loading Temporal's client takes longer than most commands that do not need it.
        client ??= import('./connection.js').then(({ connectTemporal }) => connectTemporal(keyring, environment));
        return await client.catch((error: unknown) => {
          client = undefined;
          throw error;
        });
      },
      async close() {
        await inventory.close();
        await client?.then((temporal) => temporal.connection.close()).catch(() => undefined);
      },
    };
  } catch (error) {
    await inventory.close();
    throw error;
  }
}

async function prepareHome(directory: string): Promise<void> {
  const unusable = (error: unknown) =>
    failure('InvalidInput', `CHOM's data directory ${directory} cannot be used`, {
      cause: messageOf(error),
      next: 'set CHOM_HOME to a directory of yours',
    });
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(error);
  }
  await refuseOpenHome(directory);
}

/** @throws Forbidden others than its owner may change it */
export async function refuseOpenHome(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  // Its files are 0600; whoever may write the directory could put others in their place.
  if ((mode & 0o022) === 0) return;
  throw failure('Forbidden', `CHOM's data directory ${directory} can be changed by others than its owner`, {
    cause: `its mode is ${(mode & 0o7777).toString(8).padStart(4, '0')}`,
    next: `chmod 700 ${directory}`,
  });
}
