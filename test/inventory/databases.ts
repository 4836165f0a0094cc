import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest';
import {
  type Inventory,
  type InventoryLocation,
  type InventoryOptions,
  openInventory,
} from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import { failureDetails, type FailureDetails } from '../../src/workflows/failures.js';
import { type PostgresServer, startPostgres } from './postgres.js';

/** A new inventory for every test, on one of the two databases. */
export interface TestDatabase {
  readonly kind: 'sqlite' | 'postgres';
  readonly inventory: Inventory;
  readonly where: InventoryLocation;
  readonly keyring: Keyring;
  /** A further handle on the same inventory; closed after the test. */
  open(options?: InventoryOptions, at?: InventoryLocation): Promise<Inventory>;
  /** Where a further inventory can be: nothing is there yet. */
  blank(): Promise<InventoryLocation>;
}

/** Runs the same tests on SQLite and on PostgreSQL. */
export function onBothDatabases(name: string, tests: (database: TestDatabase) => void): void {
  onDatabase('sqlite', name, tests);
  onDatabase('postgres', name, tests);
}

export function onDatabase(kind: TestDatabase['kind'], name: string, tests: (database: TestDatabase) => void): void {
  describe(`${name}, on ${kind}`, () => {
    let server: PostgresServer | undefined;
    let directory = '';
    let opened: Inventory[] = [];
    let where: InventoryLocation = { file: '' };
    let made = 0;
    const blank = async (): Promise<InventoryLocation> => {
      made += 1;
      return server ? { url: await server.createSchema() } : { file: join(directory, `${made}`, 'inventory.db') };
    };
    const keyring = Keyring.fromObject(Keyring.generate());
    const database: TestDatabase = {
      kind,
      keyring,
      get inventory() {
        const [first] = opened;
        if (!first) throw new Error('The inventory is open only in a test');
        return first;
      },
      get where() {
        return where;
      },
      async open(options, at = where) {
        const inventory = await openInventory(at, options);
        opened.push(inventory);
        return inventory;
      },
      blank,
    };

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'chom-inventory-'));
      if (kind === 'postgres') server = await startPostgres();
    });
    afterAll(async () => {
      await server?.stop();
      await rm(directory, { recursive: true, force: true });
    });
    beforeEach(async () => {
      where = await blank();
      await database.open();
    });
    afterEach(async () => {
      await Promise.all(opened.map((inventory) => inventory.close()));
      opened = [];
    });
    tests(database);
  });
}

/** The failure that `promise` ends with. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ type: string; message: string; details: FailureDetails }> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) throw error;
    return { type: error.type ?? '', message: error.message, details: failureDetails(error) };
  }
  throw new Error('It did not fail');
}
