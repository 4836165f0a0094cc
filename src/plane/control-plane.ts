import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.js';
import * as credentials from '../inventory/credentials.js';
import type { Inventory, Trx } from '../inventory/database.js';
import * as keyIds from '../inventory/key-ids.js';
import { sealedKeyring } from '../inventory/keyring-file.js';
import type { Keyring } from '../inventory/keyring.js';
import { findController } from '../inventory/keys.js';
import { inventoryLocation } from '../inventory/location.js';
import * as rotation from '../inventory/repository-rotation.js';
import { missingKeys } from '../inventory/sealing.js';
import type { Storage } from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { inventoryDatabase } from './database-copy.js';
import { type BackupOrder, hasRecoveryKey, makeBackup, type Made } from './make-backup.js';
import { refuseUpload } from './refuse-upload.js';
import { plainSettings } from './settings.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** CHOM's own data, as it is at hand here. */
export interface Here {
  config: Pick<Config, 'home' | 'databaseUrl'>;
  inventory: Inventory;
  keyring: Keyring;
  environment: Environment;
}

export interface ControlPlaneOrder {
  /** The directory; `backupDirectory` unless said. */
  to?: string;
  encrypt: boolean;
  test: boolean;
  /** Where a copy is laid down; null: nowhere. */
  storage: Storage | null;
}

/** A backup of CHOM itself that was made, and what it holds. */
export interface ControlPlaneBackup extends Made {
  /** Where the copy lies. */
  uploaded: string | null;
  /** Records that a backup holds these, if it holds the keyring: credentials, and keys. */
  record: (trx: Trx) => Promise<void>;
}

/** Where backups lie unless somebody said otherwise. */
export function backupDirectory(home: string): string {
  return join(home, 'backups');
}

/**
 * Backs up the inventory, its keyring (sealed to the recovery key) and settings. What it holds is known from before it was
 * begun. `unsent` is told of a backup that lies in its directory alone, for it could not be uploaded.
 * @throws Forbidden no recovery key to encrypt it to; Conflict the master key was changed meanwhile; as `makeBackup`; as `uploadBackup`
 */
export async function backUpControlPlane(
  here: Here,
  order: ControlPlaneOrder,
  unsent?: (file: string) => void,
): Promise<ControlPlaneBackup> {
  const { config, inventory, keyring, environment } = here;
  // Before it is copied: all of these are in the copy.
  const held = await credentials.ids(inventory.db);
  const repositories = await rotation.inUse(inventory.db);
  const keys = keyring.ids;
  const what = {
    database: inventoryDatabase(inventoryLocation(config), environment),
    belongings: {
      controller: await findController(inventory.db),
      keyring: await sealedKeyring(config.home),
      settings: plainSettings(environment),
    },
    check: async (made: Made) => await refuseChangedKeys(here, keys, made),
  };
  const made = await backUpTo(here, order, what, unsent);
  return {
    ...made,
    async record(trx) {
      if (!made.keyring) return;
      await credentials.markBackedUp(trx, held);
      await rotation.markBackedUp(trx, repositories);
      await keyIds.markBackedUp(trx, keys);
    },
  };
}

/** Makes a backup of a database and uploads it. @throws as `makeBackup`; as `uploadBackup` */
export async function backUpTo(
  { config, keyring }: Pick<Here, 'config' | 'keyring'>,
  { to = backupDirectory(config.home), encrypt, test, storage }: ControlPlaneOrder,
  { check, ...what }: Pick<BackupOrder, 'database' | 'belongings'> & { check?: (made: Made) => Promise<void> },
  unsent: (file: string) => void = () => {},
): Promise<Made & { uploaded: string | null }> {
  const recovery = encrypt ? hasRecoveryKey(keyring) : null;
  if (storage) refuseUpload(storage);
  // Loaded where it is needed: ssh and its ciphers are half of what a command would spend on starting.
  const uploads = storage && (await import('./upload.js'));
  const made = await makeBackup({ ...{ to, scratch: config.home, recovery, test }, ...what });
  await check?.(made);
  try {
    return { ...made, uploaded: storage && uploads ? await uploads.uploadBackup(storage, keyring, made) : null };
  } catch (error) {
    unsent(made.file);
    throw error;
  }
}

/** What a key sealed that was made meanwhile would be in the copy, and the key would not. */
async function refuseChangedKeys({ inventory, keyring }: Here, keys: readonly string[], { file }: Made): Promise<void> {
  const needed = await missingKeys(inventory.db, { ids: [...keys] });
  if (needed.length === 0) return;
  await rm(file, { force: true });
  throw failure('Conflict', `The master key was changed to ${keyring.current} while the backup was made`, {
    cause: 'it would hold what it could not open',
    next: 'chom backup database, once more',
  });
}
