import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import { next, type Waiting } from './line.js';
import type { PlacesTable, Priority } from './schema.js';

export type Place = PlacesTable;

/** Who wants to work, and where. */
export interface Claimant {
  /** Root operation. */
  root: string;
  tenant: string;
  server: string | null;
  site: string | null;
  priority: Priority;
  /** Alone on the server. */
  exclusive: boolean;
}

/** As long as nobody has said otherwise for a server. */
const AT_ONCE = 4;

/**
 * Takes a place where one is free, else the last one in the server's line; a root operation that has one keeps it.
 * `acknowledged: false` keeps a place that was given to it meanwhile as one that it does not know of yet.
 */
export async function enter(trx: Trx, claimant: Claimant): Promise<Place> {
  const { root, tenant, server, site, priority } = claimant;
  await lockServer(trx, server);
  const own = await find(trx, root);
  if (!own) {
    const { last } = await trx
      .selectFrom('places')
      .select((eb) => eb.fn.max('turn').as('last'))
      .where('server', server === null ? 'is' : '=', server)
      .executeTakeFirstOrThrow();
    const exclusive = claimant.exclusive ? 1 : 0;
    const rest = { state: 'waiting', turn: (last ?? 0) + 1, epoch: 0, acknowledged: 1, since: now() } as const;
    await trx
      .insertInto('places')
      .values({ root, tenant, server, site, priority, exclusive, ...rest })
      .execute();
    await grant(trx, server);
  }
  // Whoever asks has it from now on, and needs no message.
  await acknowledge(trx, root);
  return await byRoot(trx, root);
}

/** Its workflow knows of its place. */
export async function acknowledge(trx: Trx, root: string): Promise<void> {
  await trx.updateTable('places').set({ acknowledged: 1 }).where('root', '=', root).execute();
}

/**
 * Gives a place back, or leaves the line, and gives places to those who can begin now. That there is none is no error.
 * Returns everybody on that server who has a place and does not know, also from before: whoever calls sends them word.
 */
export async function release(trx: Trx, { root, server }: { root: string; server: string | null }): Promise<string[]> {
  await lockServer(trx, server);
  await trx.deleteFrom('places').where('root', '=', root).execute();
  await grant(trx, server);
  return server === null ? [] : await unacknowledged(trx, server);
}

/** Takes everybody's place on a server that is gone, and nobody gets one there. */
export async function clear(trx: Trx, server: string): Promise<void> {
  await lockServer(trx, server);
  await trx.deleteFrom('places').where('server', '=', server).execute();
}

/** Gives places on a server to those whose turn it is. Returns who has one and does not know. */
export async function serve(trx: Trx, server: string): Promise<string[]> {
  await lockServer(trx, server);
  await grant(trx, server);
  return await unacknowledged(trx, server);
}

/** Everybody who has a place and does not know, on one server or on all. */
export async function unacknowledged(db: Db, server?: string): Promise<string[]> {
  let query = db.selectFrom('places').select('root').where('state', '=', 'running').where('acknowledged', '=', 0);
  if (server !== undefined) query = query.where('server', '=', server);
  return (await query.orderBy('since').orderBy('root').execute()).map(({ root }) => root);
}

/** The servers that somebody waits for. */
export async function serversWaitedFor(db: Db): Promise<string[]> {
  const query = db.selectFrom('places').select('server').distinct().where('state', '=', 'waiting');
  return (await query.where('server', 'is not', null).execute()).map(({ server }) => server ?? '');
}

/** Moves a place to whoever takes its operation over, at an epoch that no host has seen yet. */
export async function takeOver(trx: Trx, place: Place): Promise<number> {
  await lockServer(trx, place.server);
  const epoch = await raiseEpoch(trx, place);
  await trx.updateTable('places').set({ epoch, acknowledged: 1 }).where('root', '=', place.root).execute();
  return epoch;
}

/** The place of a root operation; null when it has none. */
export async function find(db: Db, root: string): Promise<Place | null> {
  const row = await db.selectFrom('places').selectAll().where('root', '=', root).executeTakeFirst();
  return row ?? null;
}

async function byRoot(trx: Trx, root: string): Promise<Place> {
  const place = await find(trx, root);
  if (!place) throw failure('Bug', `Operation ${root} has no place`);
  return place;
}

export async function list(db: Db, filter: { server?: string | null } = {}): Promise<Place[]> {
  let query = db.selectFrom('places').selectAll();
  const { server } = filter;
  if (server !== undefined) query = query.where('server', server === null ? 'is' : '=', server);
  return await query.orderBy('turn').orderBy('root').execute();
}

/** When the server's tenants were last served; higher is later. */
export async function served(db: Db, server: string | null): Promise<Map<string, number>> {
  if (server === null) return new Map();
  const rows = await db.selectFrom('turns').selectAll().where('server', '=', server).execute();
  return new Map(rows.map(({ tenant, served: when }) => [tenant, when]));
}

/** A place as the line sees it. */
export function asWaiting({ root, tenant, site, exclusive, priority, turn, since }: Place): Waiting {
  return { root, tenant, site, exclusive: exclusive === 1, priority, turn, since: Date.parse(since) };
}

/** One at a time per server; on SQLite there is one at a time anyway. */
async function lockServer(trx: Trx, server: string | null): Promise<void> {
  if (server === null) return;
  await trx.selectFrom('servers').select('id').where('id', '=', server).forUpdate().executeTakeFirst();
}

/** Two unique indexes hold what `next` says, should it ever be wrong. */
async function grant(trx: Trx, server: string | null): Promise<void> {
  const all = await list(trx, { server });
  const waiting = all.filter(({ state }) => state === 'waiting').map(asWaiting);
  if (waiting.length === 0) return;
  const running = all.filter(({ state }) => state === 'running').map(asWaiting);
  const before = await served(trx, server);
  const bound = server === null ? Infinity : await atOnce(trx, server);
  let clock = Math.max(0, ...before.values());
  for (const root of next(waiting, running, before, { bound, now: Date.now() })) {
    const place = all.find((one) => one.root === root);
    if (!place) continue;
    const epoch = await raiseEpoch(trx, place);
    const granted = { state: 'running', epoch, acknowledged: 0, since: now() } as const;
    await trx.updateTable('places').set(granted).where('root', '=', root).execute();
    if (server === null) continue;
    clock += 1;
    await trx
      .insertInto('turns')
      .values({ server, tenant: place.tenant, served: clock })
      .onConflict((conflict) => conflict.columns(['server', 'tenant']).doUpdateSet({ served: clock }))
      .execute();
  }
}

async function atOnce(trx: Trx, server: string): Promise<number> {
  const row = await trx.selectFrom('servers').select('atOnce').where('id', '=', server).executeTakeFirst();
  return row?.atOnce ?? AT_ONCE;
}

/** A host has seen this epoch: whatever is given out from now on is higher. `scope`: `site/<id>` or `server/<id>`. */
export async function learnEpoch(trx: Trx, scope: string, epoch: number): Promise<void> {
  const known = await trx.selectFrom('epochs').select('epoch').where('scope', '=', scope).executeTakeFirst();
  if ((known?.epoch ?? 0) < epoch) await setEpoch(trx, scope, epoch);
}

/** The next epoch of what the place is for. A host has seen 0 at most of what nobody has worked on yet. */
async function raiseEpoch(trx: Trx, place: Pick<Place, 'site' | 'server'>): Promise<number> {
  const scope = scopeOf(place);
  const known = await trx.selectFrom('epochs').select('epoch').where('scope', '=', scope).executeTakeFirst();
  const epoch = (known?.epoch ?? 0) + 1;
  await setEpoch(trx, scope, epoch);
  return epoch;
}

/**
 * The host refused the epoch that a place has: it is not used up, and the next one gets no further. Otherwise one refused
 * operation of an old copy after the other would come nearer to an epoch that the host accepts.
 */
export async function returnEpoch(trx: Trx, root: string): Promise<void> {
  const place = await find(trx, root);
  if (place?.state !== 'running') return;
  await lockServer(trx, place.server);
  const scope = scopeOf(place);
  const query = trx.updateTable('epochs').set({ epoch: place.epoch - 1 });
  await query.where('scope', '=', scope).where('epoch', '=', place.epoch).execute();
}

async function setEpoch(trx: Trx, scope: string, epoch: number): Promise<void> {
  const row = trx.insertInto('epochs').values({ scope, epoch });
  await row.onConflict((conflict) => conflict.column('scope').doUpdateSet({ epoch })).execute();
}

function scopeOf({ site, server }: Pick<Place, 'site' | 'server'>): string {
  return site !== null ? `site/${site}` : `server/${server ?? ''}`;
}
