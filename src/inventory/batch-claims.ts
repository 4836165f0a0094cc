import * as batchItems from './batch-items.js';
import type { Item } from './batch-items.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { BatchPhase } from './schema.js';

/** Those that count as running though nobody has asked for their operation: whoever meant to died. */
export async function unasked(db: Db, batch: string): Promise<Item[]> {
  const running = db.selectFrom('batchItems').leftJoin('operations', 'operations.id', 'batchItems.operation');
  return await running
    .selectAll('batchItems')
    .where('batchItems.batch', '=', batch)
    .where('batchItems.state', '=', 'running')
    .where('operations.id', 'is', null)
    .orderBy('batchItems.ordinal')
    .execute();
}

/** Marks the next ones in order as running, under their operations' ids: at most so many, and on each server. */
export async function claim(
  trx: Trx,
  { batch, round }: { batch: string; round: number },
  { start, perServer }: { start: number; perServer: number | null },
): Promise<Item[]> {
  const load = perServer === null ? new Map<string, number>() : await loads(trx, batch);
  const claimed: Item[] = [];
  while (claimed.length < start) {
    const full = [...load].filter(([, count]) => perServer !== null && count >= perServer).map(([server]) => server);
    let query = trx.selectFrom('batchItems').selectAll().where('batch', '=', batch).where('phase', '=', 'item');
    query = query
      .where('state', '=', 'pending')
      .orderBy('ordinal')
      .limit(start - claimed.length);
    if (full.length > 0)
      query = query.where((row) => row.or([row('server', 'is', null), row('server', 'not in', full)]));
    const next = await query.execute();
    for (const item of next) {
      const count = item.server === null ? 0 : (load.get(item.server) ?? 0);
      // Its server has filled up meanwhile: the next look leaves that out.
      if (perServer !== null && count >= perServer) continue;
      if (item.server !== null) load.set(item.server, count + 1);
      claimed.push(await begin(trx, item, round));
    }
    if (next.length === 0) break;
  }
  return claimed;
}

/** The same of what follows from how they went, all of a phase. */
export async function claimPhase(trx: Trx, batch: string, round: number, phase: BatchPhase): Promise<Item[]> {
  const claimed: Item[] = [];
  for (const item of await batchItems.list(trx, batch, { phase, states: ['pending'] }))
    claimed.push(await begin(trx, item, round));
  return claimed;
}

async function begin(trx: Trx, item: Item, round: number): Promise<Item> {
  const operation = batchItems.operationId(item, round);
  const values = { state: 'running' as const, operation, startedAt: now() };
  await batchItems.change(trx, item, values);
  return { ...item, ...values };
}

async function loads(trx: Trx, batch: string): Promise<Map<string, number>> {
  const rows = await trx
    .selectFrom('batchItems')
    .select((row) => ['server', row.fn.countAll().as('n')])
    .where('batch', '=', batch)
    .where('phase', '=', 'item')
    .where('state', '=', 'running')
    .where('server', 'is not', null)
    .groupBy('server')
    .execute();
  return new Map(rows.map(({ server, n }) => [server ?? '', Number(n)]));
}
