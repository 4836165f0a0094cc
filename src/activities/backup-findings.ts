import * as backups from '../inventory/backups.js';
import type { Db } from '../inventory/database.js';
import type { Site } from '../inventory/sites.js';
import type { Finding } from '../workflows/inspection.js';
import { fine, wrong } from './finding.js';

/** A site is backed up every night by schedule; one that was missed is no alarm yet. */
const MOST_HOURS = 48;
const GOOD = ['completed', 'verified'] as const;

/**
 * Whether a site's last good backup is as recent as it should be. A good one is complete and was read back, and holds all
 * of the site: a full one, or files alone of a site without a database. Nothing is expected where nobody wants scheduled
 * backups of it. `now`: milliseconds since the epoch.
 */
export async function backupFindings(db: Db, site: Site, now: number): Promise<Finding[]> {
  const { id, domain, createdAt, databaseName, scheduledBackups } = site;
  if (!scheduledBackups) return [fine('backup', `Backups of ${domain} by schedule are not wanted`)];
  const all = await backups.list(db, { site: id, states: GOOD });
  const whole = all.filter(({ kind }) => kind === 'full' || (kind === 'files' && databaseName === null));
  const [last] = whole
    .map(({ finishedAt, startedAt }) => finishedAt ?? startedAt)
    .toSorted()
    .toReversed();
  const hours = (now - Date.parse(last ?? createdAt)) / 3_600_000;
  if (hours <= MOST_HOURS) {
    const young = `There is no good backup of ${domain} yet; it is no older than ${MOST_HOURS} hours`;
    const says = `The last good backup of ${domain} is no older than ${MOST_HOURS} hours`;
    return [fine('backup', last === undefined ? young : says)];
  }
  const next = `chom backup create ${domain}`;
  if (last !== undefined) {
    const says = `The last good backup of ${domain} is ${Math.floor(hours)} hours old`;
    return [wrong('backup', says, next, 'None was asked for since, or none succeeded')];
  }
  return [
    wrong(
      'unsaved',
      `There is no good backup of all of ${domain}`,
      next,
      'Nobody has asked for one, or none succeeded',
    ),
  ];
}
