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
