import { stat } from 'node:fs/promises';
import type { Config } from '../config.js';
import { openInventory, type Inventory } from '../inventory/database.js';
import { keyringFile, readKeyring } from '../inventory/keyring-file.js';
import type { Keyring } from '../inventory/keyring.js';
import { findController } from '../inventory/keys.js';
import { schemaVersion } from '../inventory/migrations.js';
import * as keyIds from '../inventory/key-ids.js';
import * as renewals from '../inventory/renewals.js';
import { missingKeys } from '../inventory/sealing.js';
import * as tenants from '../inventory/tenants.js';
import { type Holder, holders } from '../inventory/workers.js';
import { wrong, type Finding } from './findings.js';
import { stageOf } from './renewal-words.js';
import { refuseOpenHome } from './open.js';
import { inventoryLocation } from '../inventory/location.js';

/** What a worker is compared with, as far as it could be read. */
export interface Known {
  /** Id of this installation. */
  controller: string | null;
  /** Ids of the keys that are held. */
  keys: readonly string[] | null;
  /** What workers tell of the keys that they hold. */
  holders: readonly Holder[];
}

/** The data directory, the keyring and the inventory, without making any of them. Fills `known`. */
export async function examineInventory(config: Config, known: Known): Promise<Finding[]> {
  const { home } = config;
  const found = [await examineHome(home)];
  if (found[0]?.state === 'wrong') return found;
  let keyring: Keyring | null = null;
  try {
    keyring = await readKeyring(home);
    known.keys = keyring?.ids ?? null;
  } catch (error) {
    found.push(wrong('keyring', error));
  }
  const inventory = await examineDatabase(config, found);
  if (!inventory) return found;
  try {
    known.controller = await findController(inventory.db);
    known.holders = await holders(inventory.db);
    if (found.every(({ name }) => name !== 'keyring')) found.push(await examineKeys(inventory, keyring, home));
    found.push(...(await examineRotation(inventory, keyring)));
    found.push(...(await examineRenewals(inventory)));
    await tenants.byName(inventory.db, config.tenant).then(
      () => found.push({ name: 'tenant', state: 'ok', message: config.tenant }),
      (error: unknown) => found.push(wrong('tenant', error)),
    );
  } catch (error) {
    found.push(wrong('inventory', error));
  } finally {
    await inventory.close();
  }
  return found;
}

async function examineHome(home: string): Promise<Finding> {
  const name = 'data';
  try {
    await refuseOpenHome(home);
    return { name, state: 'ok', message: home };
  } catch (error) {
    const missing = Reflect.get(Object(error), 'code') === 'ENOENT';
    return missing ? { name, state: 'ok', message: `${home} is not there yet` } : wrong(name, error);
  }
}

/** The opened inventory when it can be asked; else a finding says why not. */
async function examineDatabase(config: Config, found: Finding[]): Promise<Inventory | null> {
  const name = 'inventory';
  const where = inventoryLocation(config);
  const shown = 'file' in where ? where.file : `PostgreSQL at ${new URL(where.url).host}`;
  if ('file' in where && !(await exists(where.file))) {
    found.push({ name, state: 'ok', message: `${shown} is not there yet: the first command makes it` });
    return null;
  }
  let inventory: Inventory | undefined;
  try {
    inventory = await openInventory(where, { migrate: false, patienceMilliseconds: 3000 });
    const { reached, known } = await schemaVersion(inventory.db);
    if (reached === known) {
      found.push({ name, state: 'ok', message: `${shown}, schema ${known}` });
      return inventory;
    }
    found.push({
      name,
      state: 'wrong',
      message: `The schema of ${shown} has version ${reached}, this CHOM needs ${known}`,
      cause: 'nothing of this CHOM has opened it for writing yet',
      next: 'chom tenant list (every command but this one brings it up to date)',
    });
  } catch (error) {
    const problem = wrong(name, error);
    const next = 'url' in where ? 'correct CHOM_DATABASE_URL, or start PostgreSQL' : `ls -l ${shown}; df -h`;
    found.push({ ...problem, message: `${shown}: ${problem.message}`, next: problem.next ?? next });
  }
  await inventory?.close();
  return null;
}

async function examineKeys(inventory: Inventory, keyring: Keyring | null, home: string): Promise<Finding> {
  const name = 'keyring';
  const file = keyringFile(home);
  const needed = (await keyIds.list(inventory.db)).filter(({ retiredAt }) => retiredAt === null);
  if (!keyring && needed.length === 0) return { name, state: 'ok', message: `${file} is not there yet` };
  const lacking = keyring ? await missingKeys(inventory.db, keyring) : needed.map(({ id }) => id);
  if (lacking.length === 0) return { name, state: 'ok', message: `${file} holds every key that sealed something here` };
  return {
    name,
    state: 'wrong',
    message: `${file} ${keyring ? 'lacks' : 'is gone, and with it'} keys that sealed parts of this inventory: ${lacking.join(', ')}`,
    cause: 'it is the keyring of another installation, an old copy, or was lost',
    next: `put the copy of this installation's keyring at ${file}`,
  };
}

/** A master key that was not changed to the end, or that no copy of CHOM's own data holds. */
async function examineRotation({ db }: Inventory, keyring: Keyring | null): Promise<Finding[]> {
  if (!keyring) return [];
  const { current, rotating } = keyring;
  if (rotating !== undefined) {
    return [
      {
        name: 'master key',
        state: 'wrong',
        message: `The change to key ${rotating} is not finished`,
        cause: 'chom key rotate was ended on its way, or waits for a worker; nothing is lost meanwhile',
        next: 'chom key rotate, which goes on',
      },
    ];
  }
  const known = await keyIds.list(db);
  const inUse = known.find(({ id }) => id === current);
  if (known.length < 2 || !inUse || inUse.backedUpAt !== null) return [];
  return [
    {
      name: 'master key',
      state: 'wrong',
      message: `No backup of CHOM itself holds key ${current}, which was made ${inUse.createdAt}`,
      cause: 'all backups are from before the master key was changed: what came since could not be opened with them',
      next: 'chom backup database --encrypt --upload STORAGE, and print chom recovery-kit again',
    },
  ];
}

/** Certificates that are not renewed as they should be: where no worker runs, nobody else tells of them. */
async function examineRenewals({ db }: Inventory): Promise<Finding[]> {
  const late = (await renewals.list(db)).filter((owed) => stageOf(owed) !== null);
  const [first] = late;
  if (!first) return [];
  const many = late.length > 1 ? `, and ${late.length - 1} more` : '';
  return [
    {
      name: 'certificates',
      state: 'wrong',
      message: `The certificate of ${first.domain} ends ${first.notAfter} and is not renewed${many}`,
      cause: first.reason ?? 'no worker has tried',
      next: 'chom certificate list',
    },
  ];
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
