import { failure } from '../workflows/failures.js';
import { OLD_PASSWORD } from '../workflows/storage-rotation-plan.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import * as obligations from './obligations.js';
import * as repositories from './repositories.js';
import type { Repository } from './repositories.js';
import { seal } from './sealing.js';
import { openLogin, publicOf, type StorageLogin } from './storage-login.js';

/** What is to open a repository. */
export interface Next {
  password: Buffer;
  /** Its own login, where it has one. */
  login: StorageLogin | null;
}

/** Keeps what is to open it, before anything out there knows of it. What is kept already stays. */
export async function keepNext(trx: Trx, keyring: Keyring, id: string, { password, login }: Next): Promise<void> {
  const values = {
    sealedNextPassword: await seal(trx, keyring, password, nextPasswordContext(id)),
    sealedNextLogin: login && (await seal(trx, keyring, Buffer.from(JSON.stringify(login)), nextLoginContext(id))),
    nextLoginPublic: login && publicOf(login),
  };
  const once = trx.updateTable('repositories').set(values).where('id', '=', id);
  await once.where('sealedNextPassword', 'is', null).execute();
}

/** Null when there is none. @throws Forbidden as `Keyring.open` */
export function nextOf({ id, sealedNextPassword, sealedNextLogin }: Repository, keyring: Keyring): Next | null {
  if (sealedNextPassword === null) return null;
  const login = sealedNextLogin === null ? null : openLogin(keyring.open(sealedNextLogin, nextLoginContext(id)));
  return { password: keyring.open(sealedNextPassword, nextPasswordContext(id)), login };
}

/** The password that opened it before and still does; null when there is none. @throws Forbidden as `Keyring.open` */
export function oldPasswordOf({ id, sealedOldPassword }: Repository, keyring: Keyring): Buffer | null {
  return sealedOldPassword === null ? null : keyring.open(sealedOldPassword, oldPasswordContext(id));
}

/** What was to open it opens it from now on; the password before is kept until it is removed. @throws Conflict none was kept */
export async function adoptNext(trx: Trx, keyring: Keyring, id: string): Promise<void> {
  const repository = await repositories.byId(trx, id);
  const next = nextOf(repository, keyring);
  if (!next || repository.sealedOldPassword !== null) {
    throw failure('Conflict', `Nothing is to be changed over to at repository ${id}`, {
      cause: 'another operation has done so, or taken it back',
    });
  }
  const { password, login } = next;
  const old = repositories.passwordOf(repository, keyring);
  const values = {
    sealedPassword: await seal(trx, keyring, password, repositories.passwordContext(id)),
    sealedOldPassword: await seal(trx, keyring, old, oldPasswordContext(id)),
    passwordBackedUpAt: null,
    ...(login && {
      sealedLogin: await seal(trx, keyring, Buffer.from(JSON.stringify(login)), repositories.loginContext(id)),
      loginPublic: publicOf(login),
    }),
    ...NONE,
  };
  await trx.updateTable('repositories').set(values).where('id', '=', id).execute();
}

/** Nothing is to be changed over to any more. */
export async function dropNext(trx: Trx, id: string): Promise<void> {
  await trx.updateTable('repositories').set(NONE).where('id', '=', id).execute();
}

/** The password that opened it before opens it no more. */
export async function forgetOld(trx: Trx, id: string): Promise<void> {
  await trx.updateTable('repositories').set({ sealedOldPassword: null }).where('id', '=', id).execute();
}

/** The removal of an old password that somebody cancelled, or that failed too often, is owed again, from `at` (ISO-8601 UTC) on. */
export async function oweOldAgain(
  trx: Trx,
  { repository, server }: { repository: string; server: string },
  at: string,
): Promise<void> {
  const { sealedOldPassword } = await repositories.byId(trx, repository);
  if (sealedOldPassword === null) return;
  for (const owed of await obligations.voided(trx, { server, name: OLD_PASSWORD })) {
    if (owed.targets['repository'] !== repository) continue;
    await obligations.reopen(trx, owed);
    await obligations.postpone(trx, owed, at);
  }
}

/** Repositories whose password was changed, and whose old one is left: a copy of the inventory that is begun after this holds both. */
export async function inUse(db: Db): Promise<Pick<Repository, 'id' | 'sealedPassword'>[]> {
  const changed = db.selectFrom('repositories').select(['id', 'sealedPassword']);
  return await changed.where('sealedOldPassword', 'is not', null).orderBy('id').execute();
}

/** A backup of CHOM's own data holds these passwords; one that was changed meanwhile waits for the next. */
export async function markBackedUp(
  trx: Trx,
  held: readonly Pick<Repository, 'id' | 'sealedPassword'>[],
): Promise<void> {
  for (const { id, sealedPassword } of held) {
    const one = trx.updateTable('repositories').set({ passwordBackedUpAt: now() }).where('id', '=', id);
    await one.where('sealedPassword', '=', sealedPassword).execute();
  }
}

const NONE = { sealedNextPassword: null, sealedNextLogin: null, nextLoginPublic: null };

/** What it is sealed for: nothing else opens it. */
export function nextPasswordContext(id: string): string {
  return `repository/${id}/next-password`;
}

/** What it is sealed for: nothing else opens it. */
export function nextLoginContext(id: string): string {
  return `repository/${id}/next-login`;
}

/** What it is sealed for: nothing else opens it. */
export function oldPasswordContext(id: string): string {
  return `repository/${id}/old-password`;
}
