import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BackupRecord, keep } from '../inventory/retention.js';
import { syncDirectory } from './directory.js';

/** How many of CHOM's own backups are kept: the newest of each of so many days, weeks and months (UTC), and a day's all. */
const POLICY = { within: 0, daily: 7, weekly: 4, monthly: 12 };

const NAME = /^control-plane-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z(\.chom(?:-sealed)?)$/;

/**
 * Which of these names are backups of CHOM itself that are kept no more; pure. What is called otherwise is none of ours.
 * Those that are encrypted and those that are not are looked at apart: one does not stand for the other. `now` in milliseconds.
 */
export function spareBackups(names: readonly string[], now: number): string[] {
  const records = names.flatMap((name): BackupRecord[] => {
    const [, year, month, day, hours, minutes, seconds, milliseconds, suffix] = NAME.exec(name) ?? [];
    const startedAt = `${year}-${month}-${day}T${hours}:${minutes}:${seconds}.${milliseconds}Z`;
    if (suffix === undefined || Number.isNaN(Date.parse(startedAt))) return [];
    const kind = { repository: suffix, kind: 'full', state: 'completed', tag: 'scheduled' } as const;
    return [{ id: name, ...kind, startedAt, retentionDays: null }];
  });
  return keep(records, POLICY, { now }).flatMap(({ backup, keep: kept }) => (kept ? [] : [backup.id]));
}

/** Removes them from a directory. Returns their names. */
export async function removeSpareBackups(directory: string, now: number): Promise<string[]> {
  const spare = spareBackups(await readdir(directory).catch(() => []), now);
  for (const name of spare) await rm(join(directory, name), { force: true });
  if (spare.length > 0) await syncDirectory(directory);
  return spare;
}
