import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { ServerChecksTable } from './schema.js';

/** How a server was found when it was last looked at. */
export interface Health {
  /** ISO-8601 UTC; null: never. */
  checkedAt: string | null;
  /** Findings that count and are not resolved, and how many of them are serious. */
  open: number;
  serious: number;
}

/**
 * Has `operation` be the check of a server that records what it finds, unless another one has been asked for and has not
 * ended: whose id is returned. So many who ask have it looked at once.
 */
export async function claim(trx: Trx, server: string, operation: string): Promise<string> {
  const held = await find(trx, server, true);
  if (held !== null) {
    const under = trx.selectFrom('operations').select('id').where('id', '=', held.operation);
    if (await under.where('outcome', 'is', null).executeTakeFirst()) return held.operation;
  }
  const row = trx.insertInto('serverChecks').values({ server, operation, checkedAt: null });
  await row.onConflict((conflict) => conflict.column('server').doUpdateSet({ operation })).execute();
  return operation;
}

/** Inside `fenced`: what the check found is recorded. False: a later one was asked for meanwhile, whose words count. */
export async function conclude(trx: Trx, server: string, operation: string): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('serverChecks')
    .set({ checkedAt: now() })
    .where('server', '=', server)
    .where('operation', '=', operation)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** How the servers of a tenant are, by their ids; of one that nobody looked at there is nothing. */
export async function health(db: Db, tenant: string): Promise<Map<string, Health>> {
  const checked = await db
    .selectFrom('serverChecks')
    .innerJoin('servers', 'servers.id', 'serverChecks.server')
    .select(['serverChecks.server', 'checkedAt'])
    .where('servers.tenant', '=', tenant)
    .execute();
  const found = await db
    .selectFrom('findings')
    .select(['server', 'severity'])
    .where('tenant', '=', tenant)
    .where('state', '=', 'open')
    .execute();
  return new Map(
    checked.map(({ server, checkedAt }) => {
      const its = found.filter((one) => one.server === server);
      return [server, { checkedAt, open: its.length, serious: its.filter(isSerious).length }];
    }),
  );
}

function isSerious({ severity }: { severity: string }): boolean {
  return severity === 'serious';
}

async function find(db: Db, server: string, lock = false): Promise<ServerChecksTable | null> {
  const query = db.selectFrom('serverChecks').selectAll().where('server', '=', server);
  return (await query.$if(lock, (one) => one.forUpdate()).executeTakeFirst()) ?? null;
}
