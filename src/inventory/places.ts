import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { PlacesTable } from './schema.js';

export type Place = PlacesTable;

export interface Claimant {
  /** Root operation. */
  root: string;
  server: string | null;
  site: string | null;
  /** Alone on the server. */
  exclusive: boolean;
  epoch: number;
}

/**
 * Takes a place, or keeps the one that this root operation has.
 * @throws Busy naming the holder, with nothing written; `Superseded` when the place was taken over
 */
export async function take(trx: Trx, claimant: Claimant): Promise<void> {
  const { root, server, site, epoch } = claimant;
  // One at a time per server: whether it is alone on it cannot be said by an index.
  if (server !== null) {
    await trx.selectFrom('servers').select('id').where('id', '=', server).forUpdate().executeTakeFirst();
  }
  const own = await find(trx, root);
  if (own && own.epoch !== epoch) {
    throw failure('Superseded', `The place of operation ${root} was taken over`, { holder: root });
  }
  if (own?.state === 'running') return;
  const inTheWay = await holder(trx, claimant);
  if (inTheWay) throw busy(inTheWay);
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('places')
    .values({ root, server, site, epoch, exclusive: claimant.exclusive ? 1 : 0, state: 'running', since: now() })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 1n) return;
  const winner = await holder(trx, claimant);
  throw busy(winner ?? { root: 'another operation', kind: null, since: now(), site, exclusive: 0 });
}

/** Gives it back; that there is none is no error. */
export async function release(trx: Trx, root: string): Promise<void> {
  await trx.deleteFrom('places').where('root', '=', root).execute();
}

/** The place of a root operation; null when it has none. */
export async function find(db: Db, root: string): Promise<Place | null> {
  const row = await db.selectFrom('places').selectAll().where('root', '=', root).executeTakeFirst();
  return row ?? null;
}

export async function list(db: Db, filter: { server?: string } = {}): Promise<Place[]> {
  let query = db.selectFrom('places').selectAll();
  if (filter.server !== undefined) query = query.where('server', '=', filter.server);
  return await query.orderBy('since').orderBy('root').execute();
}

interface Holder {
  root: string;
  kind: string | null;
  since: string;
  site: string | null;
  exclusive: number;
}

/** Who runs and excludes the claimant: on its site, alone on its server, or at all on a server it wants alone. */
async function holder(trx: Trx, { root, server, site, exclusive }: Claimant): Promise<Holder | undefined> {
  return await trx
    .selectFrom('places')
    .leftJoin('operations', 'operations.id', 'places.root')
    .select(['places.root', 'operations.kind', 'places.since', 'places.site', 'places.exclusive'])
    .where('places.state', '=', 'running')
    .where('places.root', '<>', root)
    .where((eb) => {
      const reasons = [];
      if (site !== null) reasons.push(eb('places.site', '=', site));
      if (server !== null && exclusive) reasons.push(eb('places.server', '=', server));
      if (server !== null) reasons.push(eb.and([eb('places.server', '=', server), eb('places.exclusive', '=', 1)]));
      return eb.or(reasons);
    })
    .orderBy('places.since')
    .executeTakeFirst();
}

function busy({ root, kind, since, site, exclusive }: Holder) {
  const what = site !== null && !exclusive ? `Site ${site}` : 'The server';
  return failure('Busy', `${what} is busy: ${kind ?? 'an operation'} (${root}) is at work there since ${since}`, {
    holder: root,
    cause: 'one operation at a time works on a site, and enrolling or rotating a server wants it alone',
    next: `chom op watch ${root}`,
  });
}
