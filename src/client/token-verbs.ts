import * as tokens from '../inventory/api-tokens.js';
import { type ApiToken, type Scope, SCOPES } from '../inventory/api-tokens.js';
import { failure } from '../workflows/failures.js';
import { parseTokenName } from './names.js';
import type { Chom } from './open.js';
import { randomId } from './submit.js';
import { quoted } from './text.js';

/** A token of the API as it is wanted. */
export interface NewToken {
  name: string;
  /** `read` (the default), `operate`, which changes things too, or `admin`, which deletes and restores sites too. */
  scope?: string;
  /** `90d` (the default), `12h`, or `never`. */
  expires?: string;
}

/** Many tokens are made for a program and forgotten. */
const EXPIRES = '90d';
const MOST_DAYS = 3650;
const UNITS = { h: 3600_000, d: 24 * 3600_000 } as const;

/** What is wrong with it by itself. `expiresAt`: ISO-8601 UTC, null for never. @throws InvalidInput */
export function checkNewToken(
  { name, scope = 'read', expires = EXPIRES }: NewToken,
  now = Date.now(),
): { name: string; scope: Scope; expiresAt: string | null } {
  parseTokenName(name);
  const known = SCOPES.find((one) => one === scope);
  if (!known) {
    throw failure('InvalidInput', `${quoted(scope)} is no scope`, { cause: `the scopes are ${SCOPES.join(', ')}` });
  }
  return { name, scope: known, expiresAt: expires === 'never' ? null : expiry(expires, now) };
}

function expiry(text: string, now: number): string {
  const [, count = '', unit = 'd'] = /^(\d{1,6})([dh])$/.exec(text) ?? [];
  const milliseconds = Number(count) * UNITS[unit as keyof typeof UNITS];
  if (milliseconds > 0 && milliseconds <= MOST_DAYS * UNITS.d) return new Date(now + milliseconds).toISOString();
  throw failure('InvalidInput', `${quoted(text)} is no time that a token is good for`, {
    cause: `it is a number and d or h, such as 90d, at most ${MOST_DAYS}d; or never`,
  });
}

/**
 * Makes a token with which the API is used for `chom.tenant`. The text is returned this once; kept is its hash.
 * @throws InvalidInput; Conflict the tenant has one of that name
 */
export async function createToken(
  chom: Pick<Chom, 'tenant' | 'inventory'>,
  wanted: NewToken,
): Promise<{ text: string; token: ApiToken }> {
  const checked = checkNewToken(wanted);
  const { tenant } = chom;
  const [id, text] = [`t${randomId(15)}`, tokens.newTokenText()];
  const token = await chom.inventory.transaction(
    async (trx) => await tokens.add(trx, { ...checked, id, tenant }, text),
  );
  return { text, token };
}
