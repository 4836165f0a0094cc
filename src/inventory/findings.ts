import type { Selectable } from 'kysely';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import * as events from './events.js';
import { changeOf, clearsAfter, type Change, type Counts } from './finding-changes.js';
import type { FindingsTable, Severity } from './schema.js';

export type Finding = Selectable<FindingsTable>;

/** What a check saw wrong. */
export interface Sighting {
  /** Of one server stable, and each time another: what is wrong with what. */
  key: string;
  name: string;
  site: string | null;
  severity: Severity;
  message: string;
  cause: string | null;
  next: string | null;
  counts: Counts;
}

/** What a check looked at: of what it did not look at nothing is known. */
export interface Scope {
  server: string;
  tenant: string;
  /** Whether a finding of that key and site would have been seen. */
  covers: (finding: Pick<Finding, 'key' | 'site'>) => boolean;
}

/** What a check changed. */
export interface Recorded {
  opened: Finding[];
  resolved: Finding[];
}

/**
 * Records what a check saw, and tells of what is new and of what is gone, each once; what stays as it was is told to
 * nobody. `at`: milliseconds since the epoch.
 */
export async function record(
  trx: Trx,
  { server, tenant, covers }: Scope,
  sightings: readonly Sighting[],
  { check, at = Date.now() }: { check: string; at?: number },
): Promise<Recorded> {
  const known = new Map((await unresolved(trx, server)).map((one) => [one.key, one]));
  const seen = new Map(sightings.map((one) => [one.key, one]));
  const recorded: Recorded = { opened: [], resolved: [] };
  for (const key of [...new Set([...known.keys(), ...seen.keys()])].sort()) {
    const [before = null, sighting = null] = [known.get(key), seen.get(key)];
    if (sighting === null && before !== null && !covers(before)) continue;
    const change = changeOf(asKnown(before), sighting, at);
    if (change === null) continue;
    const id = before?.id ?? `finding/${check}/${key}`;
    await write(trx, change, { id, tenant, server, before, sighting, at: new Date(at).toISOString() });
    if (change === 'open') recorded.opened.push(await tell(trx, id, 'ServerFindingOpened'));
    if (change === 'resolve') recorded.resolved.push(await tell(trx, id, 'ServerFindingResolved'));
  }
  return recorded;
}

/** Those that count and are not resolved, the serious ones first. */
export async function open(db: Db, of: { server: string } | { tenant: string }): Promise<Finding[]> {
  const query = db.selectFrom('findings').selectAll().where('state', '=', 'open');
  const its = 'server' in of ? query.where('server', '=', of.server) : query.where('tenant', '=', of.tenant);
  return await its.orderBy('severity').orderBy('openedAt').orderBy('key').execute();
}

/** All that there were of a server, the newest first. */
export async function list(db: Db, server: string): Promise<Finding[]> {
  return await db
    .selectFrom('findings')
    .selectAll()
    .where('server', '=', server)
    .orderBy('firstSeenAt', 'desc')
    .orderBy('key')
    .execute();
}

/** The server is gone: of what was wrong with it nobody is told any more. */
export async function forget(trx: Trx, server: string): Promise<void> {
  await trx.deleteFrom('findings').where('server', '=', server).where('state', '=', 'noticed').execute();
  await trx
    .updateTable('findings')
    .set({ state: 'resolved', resolvedAt: now() })
    .where('server', '=', server)
    .where('state', '=', 'open')
    .execute();
}

async function unresolved(trx: Trx, server: string): Promise<Finding[]> {
  const all = trx.selectFrom('findings').selectAll().where('server', '=', server);
  return await all.where('state', '<>', 'resolved').execute();
}

function asKnown(row: Finding | null) {
  return row === null || row.state === 'resolved' ? null : { ...row, state: row.state };
}

interface Written {
  id: string;
  tenant: string;
  server: string;
  before: Finding | null;
  sighting: Sighting | null;
  at: string;
}

async function write(trx: Trx, change: Change, { id, tenant, server, before, sighting, at }: Written): Promise<void> {
  if (change === 'drop') return void (await trx.deleteFrom('findings').where('id', '=', id).execute());
  if (sighting === null) {
    const gone = change === 'resolve' && { state: 'resolved' as const, resolvedAt: at };
    const missed = { seen: 0, missed: (before?.missed ?? 0) + 1, ...gone };
    return void (await trx.updateTable('findings').set(missed).where('id', '=', id).execute());
  }
  const { counts, ...said } = sighting;
  const opens = change === 'open' && { state: 'open' as const, openedAt: at };
  const seen = { ...said, seen: (before?.seen ?? 0) + 1, missed: 0, lastSeenAt: at, clearsAfter: clearsAfter(counts) };
  if (before)
    return void (await trx
      .updateTable('findings')
      .set({ ...seen, ...opens })
      .where('id', '=', id)
      .execute());
  const fresh = { id, tenant, server, ...seen, firstSeenAt: at, resolvedAt: null };
  await trx
    .insertInto('findings')
    .values({ ...fresh, state: 'noticed', openedAt: null, ...opens })
    .execute();
}

/** A finding is told of like an operation: once that it is there, and once that it is gone. */
async function tell(trx: Trx, id: string, type: 'ServerFindingOpened' | 'ServerFindingResolved'): Promise<Finding> {
  const finding = await trx.selectFrom('findings').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const { tenant, server, site, name, severity, message, cause, next, openedAt, resolvedAt } = finding;
  const of = { operation: id, tenant, server, site };
  const data = { name, severity, message, cause, next, openedAt, ...(resolvedAt !== null && { resolvedAt }) };
  await events.emit(trx, { ...of, type, data });
  if (type === 'ServerFindingOpened' && severity === 'serious') {
    const alert = { severity: 'error', about: type, reason: message, next };
    await events.emit(trx, { ...of, type: 'Alert', data: alert });
  }
  return finding;
}
