import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';

/** Seals, and records the key's id in the same transaction, so that nobody can lose that key unnoticed. */
export async function seal(trx: Trx, keyring: Keyring, plaintext: Buffer, context: string): Promise<string> {
  await noteKey(trx, keyring);
  return keyring.seal(plaintext, context);
}

/** Records the id of the key that seals now. */
export async function noteKey(trx: Trx, keyring: Keyring): Promise<void> {
  await trx
    .insertInto('keyIds')
    .values({ id: keyring.current, createdAt: now() })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** Ids of keys that sealed something in the inventory and that this keyring does not hold. A worker refuses to start. */
export async function missingKeys(db: Db, keyring: Keyring): Promise<string[]> {
  const rows = await db.selectFrom('keyIds').select('id').orderBy('createdAt').orderBy('id').execute();
  return rows.map(({ id }) => id).filter((id) => !keyring.ids.includes(id));
}
