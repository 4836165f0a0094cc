import { randomUUID } from 'node:crypto';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Inventory } from './database.js';
import type { Keyring } from './keyring.js';
import { missingKeys } from './sealing.js';

/** A worker does not start without every key that sealed something here. @throws Forbidden naming the missing ones */
export async function refuseMissingKeys(inventory: Inventory, keyring: Keyring): Promise<void> {
  const missing = await missingKeys(inventory.db, keyring);
  if (missing.length === 0) return;
  throw failure('Forbidden', `The keyring lacks keys that sealed parts of this inventory: ${missing.join(', ')}`, {
    cause: 'it is the keyring of another installation, or an old copy',
    next: "put this installation's keyring.json into CHOM's data directory",
  });
}

/** The id of this installation, for as long as the inventory lives; claims on hosts name it. */
export async function controllerId(inventory: Inventory): Promise<string> {
  return await inventory.transaction(async (trx) => {
    await trx
      .insertInto('controllers')
      .values({ one: 1, id: randomUUID(), createdAt: now() })
      .onConflict((conflict) => conflict.column('one').doNothing())
      .execute();
    return (await trx.selectFrom('controllers').select('id').executeTakeFirstOrThrow()).id;
  });
}

/** The same, where it has been written already; null before. */
export async function findController(db: Db): Promise<string | null> {
  return (await db.selectFrom('controllers').select('id').executeTakeFirst())?.id ?? null;
}
