import { EXIT_TYPES } from '../host/exit-codes.js';
import { expectOk } from '../host/exit.js';
import type { Output } from '../host/host.js';
import { expectRestic } from '../host/restic-output.js';
import type { RestoreOrder } from '../host/restore-manifest.js';
import * as backups from '../inventory/backups.js';
import type { Db } from '../inventory/database.js';
import type { SnapshotRole } from '../inventory/schema.js';
import * as sites from '../inventory/sites.js';
import { failure, type FailureType } from '../workflows/failures.js';

/**
 * A backup as the host is told of it, and into which site it goes.
 * @throws NotFound; Conflict it has no manifest on record: it is no backup that counts
 */
export async function restoreOrder(
  db: Db,
  { backup: id, site, operation }: { backup: string; site: string; operation: string },
): Promise<RestoreOrder & { repository: string }> {
  const backup = await backups.byId(db, id);
  const snapshots = await backups.snapshotsOf(db, id);
  const of = (role: SnapshotRole) => snapshots.find((one) => one.role === role)?.id ?? null;
  const { uid } = await sites.byId(db, site);
  const { manifestSha256, repository } = backup;
  const manifest = of('manifest');
  if (manifest === null || manifestSha256 === null) {
    throw failure('Conflict', `Backup ${id} is ${backup.state}: nothing can be restored from it`, {
      next: `chom backup show ${id}`,
    });
  }
  return { site, uid, operation, manifest, files: of('files'), database: of('database'), manifestSha256, repository };
}

/** What a job printed that reads a repository. Failures: by the scripts' own exit codes, else those of restic. */
export function expectRestored(
  output: Output,
  host: { readonly name: string },
  { what, storage }: { what: string; storage: string },
): Output {
  const ours = (EXIT_TYPES as Readonly<Record<number, FailureType>>)[output.exit] !== undefined;
  return ours ? expectOk(output, host, what, EXIT_TYPES) : expectRestic(output, host, { what, storage });
}
