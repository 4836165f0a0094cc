import { failure } from '../workflows/failures.js';
import { now } from './clock.js';
import type { Trx } from './database.js';
import { expectLive } from './in-service.js';
import * as sites from './sites.js';

/** A site's aliases as they were, and as they shall be. */
export interface NewAliases {
  site: string;
  before: readonly string[];
  aliases: readonly string[];
}

/**
 * The names that a site is to get are its own. The same again changes nothing.
 * @throws Conflict a name is taken, the site is not in service, or its aliases are others by now
 */
export async function take(trx: Trx, { site: id, before, aliases }: NewAliases, by: string): Promise<sites.Site> {
  const site = await sites.byId(trx, id);
  expectLive(site, 'aliases are those of a site in service', by);
  if (site.aliases.join(' ') !== before.join(' ')) {
    throw failure('Conflict', `The aliases of ${site.domain} were changed meanwhile`, {
      next: `chom site show ${site.domain}`,
    });
  }
  await sites.takeNames(trx, { ...site, site: id, aliases: aliases.filter((name) => !before.includes(name)) });
  return site;
}

/** Names that are not on record as the site's are free again. */
export async function giveBack(trx: Trx, id: string): Promise<void> {
  const { domain, aliases } = await sites.byId(trx, id);
  await trx
    .deleteFrom('siteNames')
    .where('site', '=', id)
    .where('name', 'not in', [domain, ...aliases])
    .execute();
}

/** They are on record; those that it had before are free. The same again changes nothing. */
export async function record(trx: Trx, { site, aliases }: NewAliases): Promise<void> {
  const values = { aliases: JSON.stringify(aliases), updatedAt: now() };
  await trx.updateTable('sites').set(values).where('id', '=', site).execute();
  await giveBack(trx, site);
}
