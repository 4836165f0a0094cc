import type { Selectable } from 'kysely';
import type { Skipped } from '../workflows/optimisation-plan.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { OptimisationsTable } from './schema.js';

/** What an upkeep of a site's database did. */
export interface Optimisation extends Omit<Selectable<OptimisationsTable>, 'skipped'> {
  skipped: Skipped[];
}

/** The same operation again changes nothing. */
export async function record(trx: Trx, done: Omit<Optimisation, 'at'>): Promise<void> {
  const row = trx.insertInto('optimisations').values({ ...done, skipped: JSON.stringify(done.skipped), at: now() });
  await row.onConflict((conflict) => conflict.column('operation').doNothing()).execute();
}

/** Null when that operation did none, or has not ended. */
export async function ofOperation(db: Db, operation: string): Promise<Optimisation | null> {
  const row = await db.selectFrom('optimisations').selectAll().where('operation', '=', operation).executeTakeFirst();
  return row ? { ...row, skipped: JSON.parse(row.skipped) as Skipped[] } : null;
}
