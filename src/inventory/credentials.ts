import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { CredentialKind, CredentialsTable, CredentialState } from './schema.js';
import { seal } from './sealing.js';

/** A secret and what is public of it. Its `sealed` text is opened by `open` alone. */
export type Credential = Selectable<CredentialsTable>;

export interface NewCredential {
  id: string;
  /** Null for one that is no server's. */
  server: string | null;
  kind: CredentialKind;
  public: string | null;
  /** The secret half. */
  secret: Buffer;
  state: CredentialState;
}

/**
 * Keeps a secret. One with state `current` takes the place of the one before, which becomes `retired`.
 * The same id again changes nothing.
 */
export async function put(trx: Trx, keyring: Keyring, credential: NewCredential): Promise<Credential> {
  const { secret, ...rest } = credential;
  const held = await find(trx, credential.id);
  if (held) return held;
  if (rest.state === 'current') await retire(trx, rest.server, rest.kind);
  const sealed = await seal(trx, keyring, secret, context(rest.id));
  await trx
    .insertInto('credentials')
    .values({ ...rest, sealed, createdAt: now() })
    .execute();
  return await byId(trx, rest.id);
}

/** Makes this one the current one of its server and kind; the one before becomes `retired`. @throws NotFound */
export async function makeCurrent(trx: Trx, id: string): Promise<void> {
  const credential = await byId(trx, id);
  if (credential.state === 'current') return;
  await retire(trx, credential.server, credential.kind);
  await trx.updateTable('credentials').set({ state: 'current' }).where('id', '=', id).execute();
}

/** Forgets a secret for good. That there is none is no error. */
export async function remove(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('credentials').where('id', '=', id).execute();
}

/** Ids of all that there are: what a copy of the inventory holds that is begun after this was asked. */
export async function ids(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('credentials').select('id').orderBy('id').execute();
  return rows.map(({ id }) => id);
}

/** A backup of CHOM's own data holds these, and the keyring. Those that one held before stay as they are. */
export async function markBackedUp(trx: Trx, held: readonly string[]): Promise<void> {
  // SQLite takes no more than some thousand values in one statement.
  for (let n = 0; n < held.length; n += 500) {
    await trx
      .updateTable('credentials')
      .set({ backedUpAt: now() })
      .where('id', 'in', held.slice(n, n + 500))
      .where('backedUpAt', 'is', null)
      .execute();
  }
}

/** The one in use for a server; null when there is none. */
export async function current(db: Db, server: string, kind: CredentialKind): Promise<Credential | null> {
  const row = await db
    .selectFrom('credentials')
    .selectAll()
    .where('server', '=', server)
    .where('kind', '=', kind)
    .where('state', '=', 'current')
    .executeTakeFirst();
  return row ?? null;
}

/** All of a server, oldest first. */
export async function list(db: Db, server: string): Promise<Credential[]> {
  const all = db.selectFrom('credentials').selectAll().where('server', '=', server);
  return await all.orderBy('createdAt').orderBy('id').execute();
}

/** @throws NotFound */
export async function byId(db: Db, id: string): Promise<Credential> {
  const row = await find(db, id);
  if (!row) throw failure('NotFound', `There is no credential ${id}`);
  return row;
}

/** The secret. Only in the activity that needs it, and never for longer. @throws Forbidden as `Keyring.open` */
export function open(credential: Credential, keyring: Keyring): Buffer {
  return keyring.open(credential.sealed, context(credential.id));
}

/** Undefined when there is none. */
export async function find(db: Db, id: string): Promise<Credential | undefined> {
  return await db.selectFrom('credentials').selectAll().where('id', '=', id).executeTakeFirst();
}

async function retire(trx: Trx, server: string | null, kind: CredentialKind): Promise<void> {
  // Those of no server have no current one among them: accounts point at theirs.
  if (server === null) return;
  await trx
    .updateTable('credentials')
    .set({ state: 'retired' })
    .where('server', '=', server)
    .where('kind', '=', kind)
    .where('state', '=', 'current')
    .execute();
}

/** What it is sealed for: nothing else opens it. */
export function context(id: string): string {
  return `credential/${id}`;
}
