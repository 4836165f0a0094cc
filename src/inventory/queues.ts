import type { Db } from './database.js';

/** How many operations have failed since `at` (ISO-8601 UTC), without those that were forgotten. */
export async function failedSince(db: Db, at: string): Promise<number> {
  const failed = db.selectFrom('operations').where('outcome', '=', 'failed').where('forgottenAt', 'is', null);
  const { count } = await failed
    .where('endedAt', '>=', at)
    .select((row) => row.fn.countAll().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** How many were asked for and have not begun. */
export async function waiting(db: Db): Promise<number> {
  const asked = db.selectFrom('operations').where('outcome', 'is', null).where('startedAt', 'is', null);
  const { count } = await asked.select((row) => row.fn.countAll().as('count')).executeTakeFirstOrThrow();
  return Number(count);
}

/** An operation's kind of outcome, by its id; null: it has none yet. Ids of which there is no operation are left out. */
export async function outcomes(db: Db, ids: readonly string[]): Promise<Map<string, string | null>> {
  const found = new Map<string, string | null>();
  // SQLite takes 32 766 parameters, and PostgreSQL 65 535.
  for (let n = 0; n < ids.length; n += 5000) {
    const some = db
      .selectFrom('operations')
      .select(['id', 'outcome'])
      .where('id', 'in', ids.slice(n, n + 5000));
    for (const { id, outcome } of await some.execute()) found.set(id, outcome);
  }
  return found;
}

/** How many operations of a kind have no outcome, by their server. */
export async function openByServer(db: Db, kind: string): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('operations')
    .where('kind', '=', kind)
    .where('outcome', 'is', null)
    .where('server', 'is not', null)
    .groupBy('server')
    .select((row) => ['server', row.fn.countAll().as('count')])
    .execute();
  return new Map(rows.map(({ server, count }) => [server ?? '', Number(count)]));
}
