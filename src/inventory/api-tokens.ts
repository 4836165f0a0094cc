import { createHash, randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { ApiTokensTable } from './schema.js';

/** What a token lets its bearer do; each lets him do what those before it do. */
export const SCOPES = ['read', 'operate', 'admin'] as const;

export type Scope = (typeof SCOPES)[number];

/** A token without what would let anybody use it. Times are ISO-8601 UTC. */
export interface ApiToken extends Omit<Selectable<ApiTokensTable>, 'sha256' | 'scope'> {
  scope: Scope;
}

export interface NewApiToken {
  id: string;
  tenant: string;
  name: string;
  scope: Scope;
  /** Null: it does not expire. */
  expiresAt: string | null;
}

const COLUMNS = ['id', 'tenant', 'name', 'scope', 'createdAt', 'expiresAt', 'revokedAt', 'lastUsedAt'] as const;

/** How often the last use is written down, at most. */
const USED_EVERY_MS = 60_000;

/** 256 random bits behind a prefix that scanners of repositories can look for. */
export function newTokenText(): string {
  return `chom_${randomBytes(32).toString('base64url')}`;
}

/** Whether it could be a token at all: nothing else is looked up. */
export function looksLikeToken(text: string): boolean {
  return /^chom_[A-Za-z0-9_-]{43}$/.test(text);
}

/** Kept is only the hash of a token. @throws Conflict the tenant has a token of that name */
export async function add(trx: Trx, token: NewApiToken, text: string): Promise<ApiToken> {
  const added = await trx
    .insertInto('apiTokens')
    .values({ ...token, sha256: hashOf(text), createdAt: now(), revokedAt: null, lastUsedAt: null })
    .onConflict((conflict) => conflict.doNothing())
    .returning(COLUMNS)
    .executeTakeFirst();
  if (added) return fromRow(added);
  throw failure('Conflict', `There is a token ${token.name} already`, {
    next: `chom token revoke ${token.name}, or choose another name`,
  });
}

/** The token that this text is, if it may be used at this moment; null says nothing of why not. */
export async function usable(db: Db, text: string): Promise<ApiToken | null> {
  const row = await db.selectFrom('apiTokens').select(COLUMNS).where('sha256', '=', hashOf(text)).executeTakeFirst();
  return row && isUsable(row) ? fromRow(row) : null;
}

/** Whether it may still be used. */
export async function stillUsable(db: Db, id: string): Promise<boolean> {
  const row = await db.selectFrom('apiTokens').select(COLUMNS).where('id', '=', id).executeTakeFirst();
  return row !== undefined && isUsable(row);
}

/** By name, those that were revoked last. */
export async function list(db: Db, { tenant }: { tenant: string }): Promise<ApiToken[]> {
  const rows = await db.selectFrom('apiTokens').select(COLUMNS).where('tenant', '=', tenant).orderBy('name').execute();
  const live = (one: { revokedAt: string | null }) => one.revokedAt === null;
  return [...rows.filter(live), ...rows.filter((one) => !live(one))].map(fromRow);
}

/** From now on nobody gets in with it. @throws NotFound also when it is another tenant's */
export async function revoke(trx: Trx, tenant: string, name: string): Promise<ApiToken> {
  const revoked = await trx
    .updateTable('apiTokens')
    .set({ revokedAt: now() })
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .where('revokedAt', 'is', null)
    .returning(COLUMNS)
    .executeTakeFirst();
  if (revoked) return fromRow(revoked);
  throw failure('NotFound', `There is no token ${name}`, { next: 'chom token list' });
}

/** Whether its use is to be noted: it was not within the last minute. */
export function isUseDue({ lastUsedAt }: ApiToken, at = Date.now()): boolean {
  return lastUsedAt === null || Date.parse(lastUsedAt) <= at - USED_EVERY_MS;
}

export async function noteUse(trx: Trx, id: string): Promise<void> {
  await trx.updateTable('apiTokens').set({ lastUsedAt: now() }).where('id', '=', id).execute();
}

function isUsable({ expiresAt, revokedAt }: { expiresAt: string | null; revokedAt: string | null }): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt > now());
}

/** A fast hash will do: what is hashed has 256 random bits, and nobody guesses those. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function fromRow(row: Omit<ApiToken, 'scope'> & { scope: string }): ApiToken {
  return { ...row, scope: row.scope as Scope };
}
