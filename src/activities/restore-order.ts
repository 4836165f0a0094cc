import type { RestoreOrder } from '../host/restore-manifest.js';
import * as backups from '../inventory/backups.js';
import type { Db } from '../inventory/database.js';
import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { type StepContext, workOf } from '../workflows/step.js';

/** A backup as the host is told of it, and the repository that it lies in. */
export interface OrderedRestore {
  order: RestoreOrder;
  repository: string;
}

/**
 * By the snapshots' recorded ids, in full. `plan`: of which backup, and into or beside which site.
 * @throws NotFound, also when it is another tenant's; Bug it was recorded without a manifest
 */
export async function restoreOrder(
  db: Db,
  step: StepContext,
  plan: { tenant: string; backup: string; site: string },
): Promise<OrderedRestore> {
  const { id, repository, manifestSha256 } = await backups.byId(db, plan.backup, plan);
  const { uid } = await sites.byId(db, plan.site);
  const snapshots = await backups.snapshotsOf(db, id);
  const of = (role: backups.Snapshot['role']) => snapshots.find((one) => one.role === role)?.id ?? null;
  const manifest = of('manifest');
  if (manifest === null || manifestSha256 === null) throw failure('Bug', `Backup ${id} has no manifest on record`);
  const held = { manifest, manifestSha256, files: of('files'), database: of('database') };
  return { order: { site: plan.site, uid, operation: workOf(step), ...held }, repository };
}
