import { failure } from '../workflows/failures.js';
import type { Db } from './database.js';
import * as servers from './servers.js';
import type { Server } from './servers.js';
import { isLive, isSettled, type Site } from './sites.js';

/**
 * The server that a site is on. `planned`: the one that it was on when something was asked for; `next`: the command to
 * run where there is none. @throws NotFound the server was removed, or the site is not on it
 */
export async function serverOf(
  db: Db,
  { server, domain }: Site,
  { planned = server, next = `chom site show ${domain}` }: { planned?: string; next?: string } = {},
): Promise<Server> {
  const found = await servers.byId(db, planned);
  if (server === planned && found.status !== 'removed') return found;
  throw failure('NotFound', `Site ${domain} has no server`, {
    server: found.name,
    cause: `${found.name}, which it was made on, was removed`,
    next,
  });
}

/**
 * `cause` says what wants the site live. `by`: the operation that has its place; a site that another one restores is then
 * none, else that ends before one's turn comes. @throws Conflict
 */
export function expectLive(site: Site, cause: string, by?: string): void {
  const { domain, status, restoring } = site;
  if (by === undefined ? isLive(site) : isSettled(site) || restoring === by) return;
  throw failure('Conflict', `Site ${domain} is ${status}`, { cause, next: `chom site show ${domain}` });
}
