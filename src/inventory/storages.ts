import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { StorageAccess, StorageKind, StorageLogins, StoragesTable } from './schema.js';
import { seal } from './sealing.js';
import { openLogin, publicOf, type StorageLogin } from './storage-login.js';

/** Where repositories lie. Its sealed login is opened by `sharedLogin` alone. */
export type Storage = Selectable<StoragesTable>;

export interface NewStorage {
  id: string;
  /** Null: all tenants may use it. */
  tenant: string | null;
  name: string;
  kind: StorageKind;
  /** As restic takes it, without a login. */
  url: string;
  /** Of SFTP, confirmed by somebody. */
  hostKey?: { hostKey: string; fingerprint: string };
  /** PEM. */
  ca?: string;
  logins: StorageLogins;
  /** The login that all sites share; one of each site's own is the repository's. */
  login?: StorageLogin;
  maintain?: Keeper;
}

/** From where a storage is maintained: the enrolled server that keeps the files, and the directory there; or CHOM's own machine. */
export type Keeper =
  | { server: string; path: string }
  /** As restic takes it there, and a login that may delete. */
  | { url: string; login: StorageLogin };

/** @throws Conflict another storage has that name, for that tenant or for all */
export async function add(trx: Trx, keyring: Keyring, storage: NewStorage): Promise<Storage> {
  const { id, tenant, name, kind, url, hostKey, ca, logins, login, maintain } = storage;
  const held = await named(trx, tenant, name);
  if (held) {
    throw failure('Conflict', `There is a storage ${name} already: ${held.url}`, {
      next: `chom storage show ${name}`,
    });
  }
  const at = now();
  await trx
    .insertInto('storages')
    .values({
      ...{ id, tenant, name, kind, url, logins },
      hostKey: hostKey?.hostKey ?? null,
      hostKeyFingerprint: hostKey?.fingerprint ?? null,
      ca: ca ?? null,
      loginPublic: login ? publicOf(login) : null,
      sealedLogin: login ? await seal(trx, keyring, Buffer.from(JSON.stringify(login)), context(id)) : null,
      access: null,
      probedAt: null,
      ...(await columnsOf(trx, keyring, id, maintain)),
      createdAt: at,
      updatedAt: at,
    })
    .execute();
  return await byId(trx, id);
}

/** Gives it the login that all sites share, unless it has one. Returns what it has then. */
export async function giveLogin(trx: Trx, keyring: Keyring, id: string, login: StorageLogin): Promise<Storage> {
  const sealedLogin = await seal(trx, keyring, Buffer.from(JSON.stringify(login)), context(id));
  const given = trx.updateTable('storages').set({ sealedLogin, loginPublic: publicOf(login), updatedAt: now() });
  await given.where('id', '=', id).where('sealedLogin', 'is', null).execute();
  return await byId(trx, id);
}

/** From where it is maintained from now on. */
export async function setKeeper(trx: Trx, keyring: Keyring, id: string, keeper: Keeper): Promise<Storage> {
  const values = { ...(await columnsOf(trx, keyring, id, keeper)), updatedAt: now() };
  await trx.updateTable('storages').set(values).where('id', '=', id).execute();
  return await byId(trx, id);
}

/** What was found when something was to be deleted. */
export async function recordAccess(trx: Trx, id: string, access: StorageAccess): Promise<void> {
  const at = now();
  await trx.updateTable('storages').set({ access, probedAt: at, updatedAt: at }).where('id', '=', id).execute();
}

/** Forgets a storage that no site has a repository in. @throws Conflict naming how many have */
export async function remove(trx: Trx, id: string): Promise<void> {
  const { name } = await byId(trx, id);
  const theirs = trx.selectFrom('repositories').select('id').where('storage', '=', id).where('site', 'is not', null);
  const { length } = await theirs.execute();
  if (length > 0) {
    throw failure('Conflict', `Storage ${name} holds the repositories of ${length} sites`, {
      cause: 'forgotten, nothing of them could be restored by CHOM any more',
      next: `chom storage show ${name}`,
    });
  }
  await trx.deleteFrom('repositories').where('storage', '=', id).execute();
  await trx.deleteFrom('storages').where('id', '=', id).execute();
}

/** The login that all sites share; null where it needs none, or each has its own. @throws Forbidden as `Keyring.open` */
export function sharedLogin(storage: Storage, keyring: Keyring): StorageLogin | null {
  return storage.sealedLogin === null ? null : openLogin(keyring.open(storage.sealedLogin, context(storage.id)));
}

/** By what CHOM's own machine gets in to maintain it; null where that is not for it. @throws Forbidden as `Keyring.open` */
export function maintenanceLogin({ id, maintainSealedLogin: sealed }: Storage, keyring: Keyring): StorageLogin | null {
  return sealed === null ? null : openLogin(keyring.open(sealed, maintenanceContext(id)));
}

/** @throws NotFound also when it is another tenant's, whose name it does not tell */
export async function byId(db: Db, id: string, filter: { tenant?: string } = {}): Promise<Storage> {
  const row = await db.selectFrom('storages').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row || (filter.tenant !== undefined && row.tenant !== null && row.tenant !== filter.tenant)) throw unknown(id);
  return row;
}

/** Those whose files a server keeps, by name. */
export async function keptBy(db: Db, server: string): Promise<Storage[]> {
  return await db.selectFrom('storages').selectAll().where('maintainServer', '=', server).orderBy('name').execute();
}

/** What a tenant means by a name: its own storage before everybody's. @throws NotFound also when it is another tenant's */
export async function byName(db: Db, tenant: string, name: string): Promise<Storage> {
  const found = (await named(db, tenant, name)) ?? (await named(db, null, name));
  if (!found) throw unknown(name);
  return found;
}

/** Those that a tenant may use, by name; all of them without a tenant. */
export async function list(db: Db, filter: { tenant?: string } = {}): Promise<Storage[]> {
  const { tenant } = filter;
  let query = db.selectFrom('storages').selectAll();
  if (tenant !== undefined) {
    query = query.where((row) => row.or([row('tenant', '=', tenant), row('tenant', 'is', null)]));
  }
  return await query.orderBy('name').orderBy('id').execute();
}

async function named(db: Db, tenant: string | null, name: string): Promise<Storage | null> {
  const query = db.selectFrom('storages').selectAll().where('name', '=', name);
  const row = await query.where('tenant', tenant === null ? 'is' : '=', tenant).executeTakeFirst();
  return row ?? null;
}

function unknown(which: string) {
  return failure('NotFound', `There is no storage ${which}`, { next: 'chom storage list' });
}

async function columnsOf(trx: Trx, keyring: Keyring, id: string, keeper?: Keeper) {
  const none = { maintainServer: null, maintainPath: null };
  const nowhere = { maintainUrl: null, maintainLoginPublic: null, maintainSealedLogin: null };
  if (keeper === undefined) return { ...none, ...nowhere };
  if ('server' in keeper) return { ...nowhere, maintainServer: keeper.server, maintainPath: keeper.path };
  const { url, login } = keeper;
  const sealed = await seal(trx, keyring, Buffer.from(JSON.stringify(login)), maintenanceContext(id));
  return { ...none, maintainUrl: url, maintainLoginPublic: publicOf(login), maintainSealedLogin: sealed };
}

/** What it is sealed for: nothing else opens it. */
export function maintenanceContext(id: string): string {
  return `storage/${id}/maintenance`;
}

/** What it is sealed for: nothing else opens it. */
export function context(id: string): string {
  return `storage/${id}/login`;
}
