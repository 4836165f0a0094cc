import { createHash } from 'node:crypto';
import type { SiteUser } from './user.js';
import { paths } from './paths.js';

/** Where what one operation restores lies until it is switched to, and afterwards what was there before. */
export interface RestorePlaces {
  /** Root's alone, on the filesystem of the site's own directories; holds their counterparts by the same names. */
  beside: string;
  /** Root's alone: what is noted of how far it is. Below `/var/lib`. */
  journal: string;
  /** Database of the dump until the switch, and of what was live from then on. */
  fresh: string;
  old: string;
  /** Database user of the import alone. */
  importer: string;
  /** Quoted name of the table by whose place is known which of the two there is: it is renamed with all others. */
  mark: string;
}

/** The directories of a site that are backed up and restored, below its own. */
export const RESTORED = ['app', 'shared'] as const;

/**
 * Named by the operation, so that several may lie side by side. Names of databases hold no `_` or `%`, which in a GRANT
 * stand for other characters.
 */
export function restorePlaces(site: SiteUser['site'], operation: string): RestorePlaces {
  const key = createHash('sha256').update(operation).digest('hex').slice(0, 10);
  return {
    beside: `${paths.root(site)}/.restore-${key}`,
    journal: `chom/restores/${site}/${key}`,
    fresh: `${site}-n${key}`,
    old: `${site}-o${key}`,
    importer: `${site}-i${key}`,
    mark: `\`chom restore ${key}\``,
  };
}
