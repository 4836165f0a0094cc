import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import type { SitePlan } from '../workflows/plans.js';
import type { RetentionOverride } from '../workflows/retention-policy.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { SitesTable, SiteStatus } from './schema.js';
import * as obligations from './obligations.js';
import * as servers from './servers.js';

export interface Site extends Omit<
  Selectable<SitesTable>,
  'aliases' | 'tls' | 'status' | 'retention' | 'scheduledBackups' | 'tags'
> {
  aliases: string[];
  /** In alphabetical order. */
  tags: string[];
  tls: boolean;
  retention: RetentionOverride;
  /** Schedules back it up, and try its backups out. */
  scheduledBackups: boolean;
  /** What an operation, or a suspension, covers comes back when that ends; but for `deleting`, which ends as `removed`. */
  status: SiteStatus | 'restoring' | 'suspended' | 'deleting';
}

/** Whether it is in service, if perhaps being restored at this moment, or suspended. */
export function isLive({ status }: Pick<Site, 'status'>): boolean {
  return isSettled({ status }) || status === 'restoring';
}

/** Whether it is live and nobody exchanges its content: in service, or suspended. */
export function isSettled({ status }: Pick<Site, 'status'>): boolean {
  return status === 'active' || status === 'suspended';
}

/**
 * Takes the site's names and the server's next UID. The same operation again gets what it has.
 * @throws NotFound no such server, also when it is another tenant's
 * @throws Conflict server not ready, a name taken, or the id in use
 * @throws InvalidInput the server does not have that PHP version
 */
export async function reserve(trx: Trx, plan: SitePlan, operation: string): Promise<Site> {
  const held = await find(trx, plan.site);
  if (held) {
    if (held.createdBy === operation && held.status !== 'failed' && held.status !== 'removed') return held;
    throw failure('Conflict', `Site id ${plan.site} was used already`, { holder: held.createdBy });
  }
  await checkServer(trx, plan);
  const uid = await newUid(trx, plan.server);
  const at = now();
  await trx
    .insertInto('sites')
    .values({
      id: plan.site,
      tenant: plan.tenant,
      server: plan.server,
      uid,
      domain: plan.domain,
      aliases: JSON.stringify(plan.aliases),
      type: plan.type,
      php: plan.php,
      tls: plan.tls ? 1 : 0,
      databaseName: plan.database ? plan.site : null,
      status: 'provisioning',
      createdBy: operation,
      createdAt: at,
      updatedAt: at,
    })
    .execute();
  await takeNames(trx, plan);
  return await byId(trx, plan.site);
}

/** Gives a site that is not live yet another uid: the one that it had is somebody else's on its server. */
export async function renumber(trx: Trx, id: string): Promise<void> {
  const { server, status } = await byId(trx, id);
  if (status !== 'provisioning') throw failure('Bug', `Site ${id} is ${status}: its uid is for ever`);
  const uid = await newUid(trx, server);
  await trx.updateTable('sites').set({ uid, updatedAt: now() }).where('id', '=', id).execute();
}

/** Never given out again on that server. */
async function newUid(trx: Trx, server: string): Promise<number> {
  const { nextUid } = await trx
    .updateTable('servers')
    .set((row) => ({ nextUid: row('nextUid', '+', 1) }))
    .where('id', '=', server)
    .returning('nextUid')
    .executeTakeFirstOrThrow();
  return nextUid - 1;
}

/** The site is live. @throws Conflict when it was given up meanwhile */
export async function activate(trx: Trx, id: string): Promise<void> {
  const site = await byId(trx, id);
  if (site.status !== 'provisioning' && site.status !== 'active') {
    throw failure('Conflict', `Site ${site.domain} is ${site.status} and cannot be activated`);
  }
  await setStatus(trx, id, 'active');
}

/** Gives up a site that was not finished: its names are free again, its id and UID are not. None is no error. */
export async function release(trx: Trx, id: string): Promise<void> {
  const site = await find(trx, id);
  if (!site) return;
  if (isLive(site)) throw failure('Bug', `Site ${site.domain} is live and cannot be given up`);
  if (site.status === 'provisioning') await setStatus(trx, id, 'failed');
  await freeNames(trx, id);
}

/**
 * A removed site gives its names back; a failed one does so by `release` or when its operation ends. For neither is
 * anything owed any more.
 */
export async function setStatus(trx: Trx, id: string, status: SiteStatus): Promise<void> {
  const gone = status === 'removed' && { restoring: null };
  await trx
    .updateTable('sites')
    .set({ status, updatedAt: now(), ...gone })
    .where('id', '=', id)
    .execute();
  if (status === 'removed' || status === 'failed') await obligations.cancel(trx, { site: id });
  if (status === 'removed') await freeNames(trx, id);
}

/** Whether it failed before it was live, and is not gone with its server. */
export async function isFailed(db: Db, id: string): Promise<boolean> {
  return (await find(db, id))?.status === 'failed';
}

/** A site that failed before it was live gives its names back, once nothing of it is left on its server. */
export async function freeNamesOfFailed(trx: Trx, of: { site: string; createdBy: string }): Promise<void> {
  const site = await find(trx, of.site);
  if (site?.status === 'failed' && site.createdBy === of.createdBy) await freeNames(trx, site.id);
}

export async function freeNames(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('siteNames').where('site', '=', id).execute();
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Site> {
  const site = await find(db, id);
  if (!site) throw unknown(id);
  return site;
}

/** The site that holds this name as its domain or alias, whosever it is; null when the name is free. */
export async function holding(db: Db, name: string): Promise<Site | null> {
  const row = await db
    .selectFrom('siteNames')
    .innerJoin('sites', 'sites.id', 'siteNames.site')
    .selectAll('sites')
    .where('siteNames.name', '=', name)
    .executeTakeFirst();
  return row ? fromRow(row) : null;
}

/**
 * The site that holds this name as its domain or alias; where none does, the latest that failed to get it.
 * @throws NotFound also when it is another tenant's
 */
export async function byDomain(db: Db, domain: string, filter: { tenant?: string } = {}): Promise<Site> {
  const holder = await holding(db, domain);
  if (holder && (filter.tenant === undefined || holder.tenant === filter.tenant)) return holder;
  const failed = (await list(db, filter)).find((site) => site.domain === domain);
  if (!failed) throw unknown(domain);
  return failed;
}

/** By domain, the newest first of those that failed and were tried again. Removed ones are left out. */
export async function list(db: Db, filter: { tenant?: string; server?: string } = {}): Promise<Site[]> {
  let query = db.selectFrom('sites').selectAll().where('status', '<>', 'removed');
  if (filter.tenant !== undefined) query = query.where('tenant', '=', filter.tenant);
  if (filter.server !== undefined) query = query.where('server', '=', filter.server);
  const rows = await query.orderBy('domain').orderBy('createdAt', 'desc').orderBy('id').execute();
  return rows.map(fromRow);
}

/** All that have or had this domain or alias, removed ones too. */
export async function named(db: Db, { tenant, domain }: { tenant: string; domain: string }): Promise<Site[]> {
  const rows = await db.selectFrom('sites').selectAll().where('tenant', '=', tenant).orderBy('createdAt').execute();
  return rows.map(fromRow).filter((one) => [one.domain, ...one.aliases].includes(domain));
}

async function checkServer(trx: Trx, plan: SitePlan): Promise<void> {
  const server = await servers.byId(trx, plan.server);
  if (server.tenant !== plan.tenant || server.status === 'removed') {
    throw failure('NotFound', `There is no server ${plan.serverName}`, { next: 'chom server list' });
  }
  if (server.status !== 'active') {
    throw failure('Conflict', `Server ${server.name} cannot take sites: it is ${server.status}`, {
      server: server.name,
      next: `chom server show ${server.name}`,
    });
  }
  if (plan.php !== null && !server.versions.php.includes(plan.php)) {
    throw failure('InvalidInput', `Server ${server.name} does not have PHP ${plan.php}`, {
      server: server.name,
      cause: `it has ${server.versions.php.join(', ') || 'none'}`,
    });
  }
}

/** What takes names. */
interface Taker extends Pick<SitePlan, 'site' | 'tenant' | 'domain'> {
  aliases: readonly string[];
}

/** Its domain and aliases are its own from now on, those that are so already too. @throws Conflict one is another's */
export async function takeNames(trx: Trx, plan: Taker): Promise<void> {
  // Sorted, so that two sites which want the same names wait for each other in one order.
  const names = [...new Set([plan.domain, ...plan.aliases])].sort();
  for (const name of names) {
    const { numInsertedOrUpdatedRows } = await trx
      .insertInto('siteNames')
      .values({ name, site: plan.site })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n && !(await holds(trx, plan.site, name))) throw await taken(trx, plan, name);
  }
}

async function holds(trx: Trx, site: string, name: string): Promise<boolean> {
  return (await holding(trx, name))?.id === site;
}

async function taken(trx: Trx, plan: Taker, name: string) {
  const holder = await trx
    .selectFrom('siteNames')
    .innerJoin('sites', 'sites.id', 'siteNames.site')
    .selectAll('sites')
    .where('siteNames.name', '=', name)
    .executeTakeFirstOrThrow();
  // To another tenant the holder's name and id are nobody's business.
  if (holder.tenant !== plan.tenant) return failure('Conflict', `${name} is taken`);
  const site = holder.domain === name ? holder.id : `${holder.domain} (${holder.id})`;
  return failure('Conflict', `${name} is taken by site ${site}, which is ${holder.status}`, {
    holder: holder.createdBy,
    next: `chom site show ${holder.domain}`,
  });
}

async function find(db: Db, id: string): Promise<Site | null> {
  const row = await db.selectFrom('sites').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? fromRow(row) : null;
}

function unknown(which: string) {
  return failure('NotFound', `There is no site ${which}`, { next: 'chom site list' });
}

function fromRow(row: Selectable<SitesTable>): Site {
  const [aliases, retention] = [JSON.parse(row.aliases) as string[], JSON.parse(row.retention) as RetentionOverride];
  const bits = { tls: row.tls === 1, scheduledBackups: row.scheduledBackups === 1 };
  return { ...row, status: statusOf(row), aliases, tags: JSON.parse(row.tags) as string[], retention, ...bits };
}

function statusOf({ status, restoring, suspendedAt, deletedBy }: Selectable<SitesTable>): Site['status'] {
  if (status === 'removed') return status;
  if (deletedBy !== null) return 'deleting';
  if (restoring !== null) return 'restoring';
  return suspendedAt !== null && status === 'active' ? 'suspended' : status;
}
