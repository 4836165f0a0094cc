import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { openInventory, type Inventory, type InventoryLocation } from '../inventory/database.js';
import { putKeyring } from '../inventory/keyring-file.js';
import { Keyring } from '../inventory/keyring.js';
import { refuseMissingKeys } from '../inventory/keys.js';
import { endLost, type Aftermath } from '../inventory/lost-controller.js';
import { openFromRecovery } from '../inventory/recovery.js';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import { readBackup } from './backup-file.js';
import { syncDirectory } from './directory.js';
import { refuseDifferences, type Manifest } from './manifest.js';
import { restorePostgres, tablesOfPostgres } from './postgres-copy.js';
import { tablesOfFile } from './sqlite-copy.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A controller that was restored. */
export interface Restored extends Aftermath {
  manifest: Manifest;
  /** As they were in the environment of the one that was lost. */
  settings: Record<string, string>;
  /** Those that may know newer things than the inventory. */
  servers: { name: string; tenant: string }[];
}

/**
 * Restores CHOM's own data onto a machine that has none: the inventory, compared with what was backed up, and the keyring. What
 * was at work on the lost one has an outcome afterwards. Whatever fails leaves the data directory without an inventory.
 * @throws Conflict there is one already; BackupDamaged; Forbidden it is for another key; InvalidInput
 */
export async function restoreControlPlane(
  file: string,
  { home, where, recoveryKey, environment }: RestoreOrder,
): Promise<Restored> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  await refuseInventory(home, where);
  const directory = await mkdtemp(join(home, 'restoring-'));
  try {
    const manifest = await readBackup(file, directory, { recoveryKey });
    refuseForeign(file, manifest, where);
    const object = await keyringOf(directory, recoveryKey);
    const keyring = Keyring.fromObject(object);
    const staged = 'url' in where ? where : { file: join(directory, 'database') };
    await restoreDatabase(staged, { directory, manifest, environment });
    const after = await opened(staged, async (inventory) => {
      await refuseMissingKeys(inventory, keyring);
      const lost = await inventory.transaction(async (trx) => await endLost(trx));
      const all = await servers.list(inventory.db);
      return {
        ...lost,
        servers: all.filter(({ hostKey }) => hostKey !== null).map(({ name, tenant }) => ({ name, tenant })),
      };
    });
    await putKeyring(home, object);
    // Last: with it, and not before, there is an inventory.
    if ('file' in where) {
      await rename(join(directory, 'database'), where.file);
      await syncDirectory(home);
    }
    const settings = z.record(z.string(), z.string()).parse(JSON.parse(await part(directory, 'settings')));
    return { ...after, manifest, settings };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export interface RestoreOrder {
  home: string;
  where: InventoryLocation;
  /** The private half. */
  recoveryKey: string;
  environment: Environment;
}

async function restoreDatabase(
  staged: InventoryLocation,
  { directory, manifest, environment }: { directory: string; manifest: Manifest; environment: Environment },
): Promise<void> {
  const dump = join(directory, 'database');
  if ('file' in staged) return refuseDifferences(manifest.tables, await tablesOfFile(dump));
  const { schema = 'public' } = manifest.database;
  await restorePostgres(staged.url, dump, { schema, environment });
  refuseDifferences(manifest.tables, await tablesOfPostgres(staged.url));
}

async function refuseInventory(home: string, where: InventoryLocation): Promise<void> {
  const taken = 'file' in where ? await exists(where.file) : (await tablesOfPostgres(where.url)).length > 0;
  if (!taken) return;
  const place = 'file' in where ? `in ${home}` : 'in the database that CHOM_DATABASE_URL names';
  throw failure('Conflict', `There is an inventory already ${place}`, {
    cause: 'a control plane is restored onto a machine that has none; nothing was changed',
    next: 'file' in where ? 'set CHOM_HOME to an empty directory' : 'set CHOM_DATABASE_URL to an empty database',
  });
}

function refuseForeign(file: string, { database: { kind }, controller }: Manifest, where: InventoryLocation): void {
  if (kind === 'mysql' || controller === null) {
    throw failure('InvalidInput', `${file} is the backup of another database, not of CHOM's own`, {
      next: `chom backup database --extract ${file} --to DIR; mariadb DATABASE <DIR/database; then <DIR/programs`,
    });
  }
  const here = 'url' in where ? 'postgres' : 'sqlite';
  if (kind === here) return;
  throw failure('InvalidInput', `${file} is of ${kind}, and here the inventory would be ${here}`, {
    next: kind === 'postgres' ? 'set CHOM_DATABASE_URL to an empty database' : 'unset CHOM_DATABASE_URL',
  });
}

async function keyringOf(directory: string, recoveryKey: string) {
  const sealed = await part(directory, 'keyring').catch(() => {
    throw failure('NotFound', 'The keyring is not in this backup', {
      cause: 'it was made when there was no recovery key yet',
      next: `put the copy of keyring.json that was kept into CHOM's data directory, and the inventory beside it`,
    });
  });
  return Keyring.parse(JSON.parse(openFromRecovery(recoveryKey, sealed).toString()));
}

async function part(directory: string, name: string): Promise<string> {
  return await readFile(join(directory, name), 'utf8');
}

async function opened<Result>(where: InventoryLocation, fn: (inventory: Inventory) => Promise<Result>) {
  const inventory = await openInventory(where);
  try {
    return await fn(inventory);
  } finally {
    await inventory.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
