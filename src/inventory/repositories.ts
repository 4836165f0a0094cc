import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { DataPart } from './data-rotation.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { RepositoriesTable, SiteStatus } from './schema.js';
import { seal } from './sealing.js';
import { openLogin, publicOf, type StorageLogin } from './storage-login.js';
import * as storages from './storages.js';

/** restic's repository of one site in one storage. What is sealed of it is opened by `passwordOf` and `loginOf` alone. */
export type Repository = Selectable<RepositoriesTable>;

export interface NewRepository {
  storage: string;
  /** Null: the one by which CHOM tries the storage. */
  site: string | null;
  /** As restic takes it, without a login. */
  url: string;
  password: Buffer;
  /** A login of its own; without one it has the storage's. */
  login?: StorageLogin;
}

/** The id of a site's repository in a storage: there is one. */
export function repositoryId(storage: string, site: string | null): string {
  return `${storage}/${site ?? 'trial'}`;
}

/**
 * Keeps what opens a repository that is to be made. Of a site and storage that have one, that one is returned as it is:
 * a password that was made twice is used once.
 * @throws NotFound the storage is not one that the site's tenant may use
 */
export async function add(trx: Trx, keyring: Keyring, repository: NewRepository): Promise<Repository> {
  const { storage, site, url, password: secret, login: own } = repository;
  const id = repositoryId(storage, site);
  const held = await find(trx, id);
  if (held) return held;
  if (site !== null) await refuseForeign(trx, storage, site);
  await trx
    .insertInto('repositories')
    .values({
      ...{ id, storage, site, url },
      sealedPassword: await seal(trx, keyring, secret, passwordContext(id)),
      loginPublic: own ? publicOf(own) : null,
      sealedLogin: own ? await seal(trx, keyring, Buffer.from(JSON.stringify(own)), loginContext(id)) : null,
      ...{ sealedNextPassword: null, sealedNextLogin: null, nextLoginPublic: null },
      ...{ sealedOldPassword: null, passwordBackedUpAt: null },
      resticId: null,
      escrowedAt: null,
      initialisedAt: null,
      dataPart: null,
      dataParts: null,
      dataReadAt: null,
      createdAt: now(),
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  return await byId(trx, id);
}

/** The sealed copy of the password lies beside the repository and was read back. Recorded before, it stays. */
export async function markEscrowed(trx: Trx, id: string): Promise<void> {
  const once = trx.updateTable('repositories').set({ escrowedAt: now() }).where('escrowedAt', 'is', null);
  await once.where('id', '=', id).execute();
}

/**
 * restic has made it, or opened it. Recorded before, it stays.
 * @throws Conflict it is not the one that it was: somebody put another one in its place; Bug its password is not escrowed
 */
export async function markInitialised(trx: Trx, id: string, resticId: string): Promise<void> {
  const held = await byId(trx, id);
  if (held.escrowedAt === null) throw failure('Bug', `The password of repository ${id} is kept by CHOM alone`);
  if (held.resticId !== null && held.resticId !== resticId) {
    throw failure('Conflict', `At ${held.url} lies another repository than the one that CHOM made`, {
      cause: `its id is ${resticId}, that of ours is ${held.resticId}`,
    });
  }
  if (held.initialisedAt !== null) return;
  await trx.updateTable('repositories').set({ resticId, initialisedAt: now() }).where('id', '=', id).execute();
}

/** This part of its data was read, and was whole. */
export async function recordDataRead(trx: Trx, id: string, { part, parts }: DataPart): Promise<void> {
  const values = { dataPart: part, dataParts: parts, dataReadAt: now() };
  await trx.updateTable('repositories').set(values).where('id', '=', id).execute();
}

/** Only in the activity that needs it. @throws Forbidden as `Keyring.open` */
export function passwordOf(repository: Repository, keyring: Keyring): Buffer {
  return keyring.open(repository.sealedPassword, passwordContext(repository.id));
}

/** What gets in: its own login, else the storage's; null where none is needed. @throws Forbidden as `Keyring.open` */
export function loginOf(repository: Repository, storage: storages.Storage, keyring: Keyring): StorageLogin | null {
  const { id, sealedLogin } = repository;
  if (sealedLogin === null) return storages.sharedLogin(storage, keyring);
  return openLogin(keyring.open(sealedLogin, loginContext(id)));
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Repository> {
  const found = await find(db, id);
  if (!found) throw failure('NotFound', `There is no repository ${id}`, { next: 'chom storage list' });
  return found;
}

/** Null when the site has none there. */
export async function ofSite(db: Db, storage: string, site: string): Promise<Repository | null> {
  return await find(db, repositoryId(storage, site));
}

/** Those of a storage or site, the oldest first; that of no site comes with its storage. */
export async function list(db: Db, filter: { storage?: string; site?: string }): Promise<Repository[]> {
  let query = db.selectFrom('repositories').selectAll();
  if (filter.storage !== undefined) query = query.where('storage', '=', filter.storage);
  if (filter.site !== undefined) query = query.where('site', '=', filter.site);
  return await query.orderBy('createdAt').orderBy('id').execute();
}

/** Where the sites of a tenant have theirs, removed ones too; by domain. */
export async function ofTenant(
  db: Db,
  tenant: string,
  { site, storage }: { site?: string; storage?: string } = {},
): Promise<(Repository & { site: string; domain: string; server: string; siteStatus: SiteStatus })[]> {
  let query = db
    .selectFrom('repositories')
    .innerJoin('sites', 'sites.id', 'repositories.site')
    .selectAll('repositories')
    .select(['sites.id as site', 'sites.domain', 'sites.server', 'sites.status as siteStatus'])
    .where('sites.tenant', '=', tenant)
    .where('repositories.initialisedAt', 'is not', null);
  if (site !== undefined) query = query.where('repositories.site', '=', site);
  if (storage !== undefined) query = query.where('repositories.storage', '=', storage);
  return await query.orderBy('sites.domain').orderBy('repositories.createdAt').orderBy('repositories.id').execute();
}

async function find(db: Db, id: string): Promise<Repository | null> {
  const row = await db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

async function refuseForeign(trx: Trx, storage: string, site: string): Promise<void> {
  const { tenant } = await trx.selectFrom('sites').select('tenant').where('id', '=', site).executeTakeFirstOrThrow();
  await storages.byId(trx, storage, { tenant });
}

/** What it is sealed for: nothing else opens it. */
export function passwordContext(id: string): string {
  return `repository/${id}/password`;
}

/** What it is sealed for: nothing else opens it. */
export function loginContext(id: string): string {
  return `repository/${id}/login`;
}
