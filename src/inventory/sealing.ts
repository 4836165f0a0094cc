import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';

/** Seals, and records the key's id in the same transaction, so that nobody can lose that key unnoticed. @throws as `noteKey` */
export async function seal(trx: Trx, keyring: Keyring, plaintext: Buffer, context: string): Promise<string> {
  return keyring.seal(plaintext, context, await noteKey(trx, keyring));
}

/**
 * Records the id of the key that seals now, or is about to, and returns it. It is not retired before this transaction has ended.
 * @throws Forbidden it was retired: this process has an old keyring
 */
export async function noteKey(trx: Trx, keyring: Keyring, id = keyring.current): Promise<string> {
  const insertion = trx.insertInto('keyIds').values({ id, createdAt: now() });
  await insertion.onConflict((conflict) => conflict.column('id').doNothing()).execute();
  const held = trx.selectFrom('keyIds').select('retiredAt').where('id', '=', id).forShare();
  const { retiredAt } = await held.executeTakeFirstOrThrow();
  if (retiredAt === null) return id;
  throw failure('Forbidden', `Key ${id} was retired: nothing can be sealed with it any more`, {
    cause: 'this process has a keyring from before that',
    next: "put this installation's keyring.json into CHOM's data directory, and start it again",
  });
}

/** Ids of keys that sealed something in the inventory and that this keyring does not hold. A worker refuses to start. */
export async function missingKeys(db: Db, keyring: Pick<Keyring, 'ids'>): Promise<string[]> {
  const needed = db.selectFrom('keyIds').select('id').where('retiredAt', 'is', null);
  const rows = await needed.orderBy('createdAt').orderBy('id').execute();
  return rows.map(({ id }) => id).filter((id) => !keyring.ids.includes(id));
}
