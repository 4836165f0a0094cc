import type { SitePlan } from '../workflows/plans.js';
import { documentRoot, paths } from './paths.js';

/** What is made again by itself, by type of site, below `app`. */
const MADE_AGAIN: Record<SitePlan['type'], readonly string[]> = {
  static: [],
  php: [],
  wordpress: ['wp-content/cache', 'wp-content/et-cache', 'wp-content/upgrade', 'wp-content/upgrade-temp-backup'],
  // Who was logged in by a session file logs in again after a restore.
  laravel: ['cache/data', 'sessions', 'views'].map((name) => `storage/framework/${name}`),
};

/**
 * The directories of a site that are backed up. Its `tmp` is not: PHP's uploads and sessions. What else a site needs on
 * a server (user, PHP, nginx, timers) is made from the inventory, and its certificate is issued anew.
 */
export function savedDirectories(site: string): string[] {
  return [documentRoot(site), `${paths.root(site)}/shared`];
}

/**
 * restic's patterns of what is left out, beside directories that their owner marks by a CACHEDIR.TAG. The directory
 * itself stays, for Laravel makes none. `node_modules`, `vendor`, logs and the backups of plug-ins are data: nothing
 * makes them again.
 */
export function excludedPaths({ site, type }: Pick<SitePlan, 'site' | 'type'>): string[] {
  return MADE_AGAIN[type].map((directory) => `${documentRoot(site)}/${directory}/*`);
}
