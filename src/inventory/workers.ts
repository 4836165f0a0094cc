import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';

/** Which keys a worker holds at this moment. */
export interface Holder {
  /** As Temporal lists it. */
  identity: string;
  /** It seals with this one. */
  current: string;
  keys: string[];
}

/** One that was not heard of for so long is gone: they tell of themselves every 30 s. */
const GONE_MS = 90_000;

/** A worker tells which keys it holds; what those that are gone told is forgotten. */
export async function tell(trx: Trx, identity: string, keyring: Keyring): Promise<void> {
  const values = { current: keyring.current, keys: JSON.stringify(keyring.ids), seenAt: now() };
  await trx.deleteFrom('workers').where('seenAt', '<', since()).execute();
  await trx
    .insertInto('workers')
    .values({ identity, ...values })
    .onConflict((conflict) => conflict.column('identity').doUpdateSet(values))
    .execute();
}

/** It ends. */
export async function leave(trx: Trx, identity: string): Promise<void> {
  await trx.deleteFrom('workers').where('identity', '=', identity).execute();
}

/** Those that are there. */
export async function holders(db: Db): Promise<Holder[]> {
  const rows = await db.selectFrom('workers').selectAll().where('seenAt', '>=', since()).orderBy('identity').execute();
  return rows.map(({ identity, current, keys }) => ({ identity, current, keys: JSON.parse(keys) as string[] }));
}

function since(): string {
  return new Date(Date.parse(now()) - GONE_MS).toISOString();
}
