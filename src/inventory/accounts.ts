import * as credentials from './credentials.js';
import type { Db, Trx } from './database.js';
import type { AccountsTable } from './schema.js';

/** An account at a certificate authority; its key is a credential of kind `acme-account`. */
export type Account = AccountsTable;

/** Keeps the account of an ACME directory URL; one there is already is replaced. */
export async function put(trx: Trx, account: Account): Promise<void> {
  const { directory: _, ...change } = account;
  await trx
    .insertInto('accounts')
    .values(account)
    .onConflict((conflict) => conflict.column('directory').doUpdateSet(change))
    .execute();
}

/** Null when we have no account there. */
export async function byDirectory(db: Db, directory: string): Promise<Account | null> {
  const row = await db.selectFrom('accounts').selectAll().where('directory', '=', directory).executeTakeFirst();
  return row ?? null;
}

/** Keys to which an account was to be changed over, or may have been, the newest first; `below`: the id of its first key. */
export async function nextKeys(db: Db, below: string): Promise<credentials.Credential[]> {
  const all = db.selectFrom('credentials').selectAll().where('kind', '=', 'acme-account').where('state', '=', 'next');
  const found = await all.orderBy('createdAt', 'desc').orderBy('id').execute();
  return found.filter(({ id }) => id.startsWith(`${below}/`));
}

/**
 * The account has this key from now on. The one before, which opens nothing any more, goes, and so do others that it was to be
 * changed over to: nobody has a key any more that could do so. `all`: the id of its first key. Again it changes nothing.
 * @throws NotFound the key, or the account
 */
export async function changeKey(
  trx: Trx,
  { directory, to, all }: { directory: string; to: string; all: string },
): Promise<void> {
  const { credential } = await trx
    .selectFrom('accounts')
    .select('credential')
    .where('directory', '=', directory)
    .forUpdate()
    .executeTakeFirstOrThrow();
  if (credential === to) return;
  await credentials.makeCurrent(trx, to);
  await trx.updateTable('accounts').set({ credential: to }).where('directory', '=', directory).execute();
  for (const { id } of await nextKeys(trx, all)) await credentials.remove(trx, id);
  await credentials.remove(trx, credential);
}
