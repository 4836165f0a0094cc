import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import { sealedBy } from './reseal.js';
import type { KeyIdsTable } from './schema.js';

/** A key that sealed something here. */
export type KeyId = Selectable<KeyIdsTable>;

/** All of them, the oldest first. */
export async function list(db: Db): Promise<KeyId[]> {
  return await db.selectFrom('keyIds').selectAll().orderBy('createdAt').orderBy('id').execute();
}

/** Nothing here is sealed any more with others than this one. */
export async function markReplaced(trx: Trx, current: string): Promise<void> {
  const others = trx.updateTable('keyIds').set({ replacedAt: now() }).where('id', '<>', current);
  await others.where('replacedAt', 'is', null).execute();
}

/** A backup of CHOM's own data holds these. */
export async function markBackedUp(trx: Trx, ids: readonly string[]): Promise<void> {
  const held = trx.updateTable('keyIds').set({ backedUpAt: now() }).where('backedUpAt', 'is', null);
  await held.where('id', 'in', ids).execute();
}

/**
 * Nobody seals with it any more, and a worker starts without it. The last chance to see that something needs it: whoever
 * seals with it at this moment is waited for.
 * @throws Conflict something here is sealed with it
 */
export async function retire(trx: Trx, id: string): Promise<void> {
  const values = { retiredAt: now() };
  await trx.updateTable('keyIds').set(values).where('id', '=', id).where('retiredAt', 'is', null).execute();
  const needed = Object.entries(await sealedBy(trx, id));
  if (needed.length === 0) return;
  throw failure(
    'Conflict',
    `Key ${id} is needed: it sealed ${needed.map(([what, n]) => `${n} of ${what}`).join(', ')}`,
    {
      cause: 'a process that has an old keyring wrote it since',
      next: 'end that process, and run chom key retire again',
    },
  );
}
