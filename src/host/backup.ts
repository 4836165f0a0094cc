import type { SitePlan } from '../workflows/plans.js';
import { failure } from '../workflows/failures.js';
import { excludedPaths, savedDirectories } from './backup-content.js';
import { progressDirectory } from './backup-progress.js';
import { backupSteps } from './backup-steps.js';
import { backupBox, backupState, withoutLinks } from './backup-unit.js';
import { resticCredentials, type RepositoryAccess } from './restic.js';
import { join, sh, type Script } from './shell.js';

/** One backup of one site. */
export interface BackupOrder extends Pick<SitePlan, 'site' | 'type' | 'domain' | 'php'> {
  /** Its snapshots bear this id, so that a rerun finds them. */
  operation: string;
  kind: 'full' | 'files' | 'database';
  /** The site has a database. */
  database: boolean;
}

export interface BackupLimits {
  /** How long a lock on the database, or on the repository, is waited for. */
  lockSeconds: number;
  /** Without any progress for so long, a step is given up. */
  silentSeconds: number;
  /** So long a request to the storage may stand still, and after the first that failed none succeed. */
  awaySeconds: number;
}

const LIMITS: BackupLimits = { lockSeconds: 120, silentSeconds: 1800, awaySeconds: 120 };

/**
 * Makes a backup: a snapshot of the database, then of the files, then of a manifest that names both, each read back.
 * Without its manifest there is no backup: a job that died is begun anew, which costs little, for restic has what it
 * sent already; taking up an old dump would put hours between it and the files. The snapshots that it left are
 * reported (`MadeBackup.leftover`), because on append-only storage nobody here can take them away.
 *
 * The check finds a manifest of this operation and reads the backup back as the job does; both print what
 * `readBackup` reads. Exit codes: databaseLocked, databaseBroken, unsupported, diskFull, timedOut, notReadBack, broken
 * (a directory of the site is missing), else restic's own.
 */
export function makeBackup(
  order: BackupOrder,
  access: RepositoryAccess,
  limits: Partial<BackupLimits> = {},
): { check: Script; act: Script; properties: string[]; secrets: Record<string, Buffer> } {
  const { site, operation } = order;
  if (!/^[\w-]+(\/[\w-]+)*$/.test(operation)) throw failure('Bug', `${operation} cannot name a snapshot`);
  const state = backupState(site);
  const steps = backupSteps({
    site,
    operation,
    head: head(order),
    database: order.database && order.kind !== 'files',
    files: order.kind === 'database' ? null : { directories: savedDirectories(site), excluded: excludedPaths(order) },
    access,
    limits: { ...LIMITS, ...limits },
    state,
    progress: `/run/${progressDirectory(operation)}/status`,
  });
  const inBox = (script: Script) => withoutLinks(site, script);
  return {
    // On a server that has not begun one there is none: a first attempt asks no storage.
    check: sh`[ "$(cat ${`${state}/begun`} 2>/dev/null)" = ${operation} ] || exit 1
${inBox(join([steps.functions, sh`find_again`]))}`,
    act: inBox(join([steps.functions, sh`make_anew`])),
    properties: backupBox({ site, operation, repository: access.url.startsWith('/') ? access.url : null }),
    secrets: resticCredentials(access),
  };
}

/** The first line of the manifest. */
function head({ operation, site, kind, type, domain, php }: BackupOrder): string {
  const excluded = kind === 'database' ? [] : excludedPaths({ site, type });
  return JSON.stringify({ format: 1, operation, site, kind, type, domain, php, excluded }).slice(0, -1);
}
