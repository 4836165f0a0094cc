import { failure, type FailureDetails, type FailureType } from '../workflows/failures.js';
import * as backups from './backups.js';
import * as batchItems from './batch-items.js';
import { now } from './clock.js';
import { type Fence, superseded, type Trx } from './database.js';
import type { EventType } from './event-types.js';
import * as events from './events.js';
import * as obligations from './obligations.js';
import * as places from './places.js';
import * as remains from './remains.js';
import * as renewals from './renewal-tries.js';
import * as restores from './restores.js';
import type { Outcome, ServerStatus, SiteStatus } from './schema.js';
import * as secrets from './secrets.js';
import * as servers from './servers.js';
import * as sites from './sites.js';
import * as tries from './tries.js';
import * as undos from './undos.js';
import * as uploads from './uploads.js';

/** How an operation ended, and all that goes with it. */
export interface Conclusion {
  outcome: Outcome;
  failureType?: FailureType | null;
  /** For the operator, one line. */
  reason?: string | null;
  details?: FailureDetails | null;
  warnings?: readonly string[];
  /** The step tree, as it is shown. */
  steps?: readonly unknown[];
  /** In this order; a type that the operation has emitted already is not emitted again. */
  events?: readonly { type: EventType; data: Record<string, unknown> }[];
  obligations?: readonly Omit<obligations.NewObligation, 'operation'>[];
  /** The server refused its claim, as it does where the failure is a StaleClaim. */
  refused?: boolean;
  /** `failed` applies only to a site that this operation reserved and that never became active. */
  siteStatus?: SiteStatus;
  /** `failed` applies only to a server that is being enrolled for the first time. */
  serverStatus?: ServerStatus;
}

/**
 * Ends an operation: outcome, events, statuses, obligations and the end of its place, all or nothing, exactly once.
 * Concluded again by the same run nothing is written and the outcome that is stored is returned. `granted` are those who
 * have a place on the server and do not know, and the batch that waits for this end: whoever concludes sends them word.
 * @throws Superseded another run, or a stale epoch
 * @throws Bug a committed operation is to end otherwise than `succeeded`
 */
export async function conclude(
  trx: Trx,
  fence: Fence,
  conclusion: Conclusion,
): Promise<{ outcome: Outcome; recorded: boolean; granted: string[] }> {
  const id = fence.operation;
  const row = await trx.selectFrom('operations').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!row || row.run !== fence.run || row.epoch !== fence.epoch) throw superseded(fence, row);
  if (row.outcome !== null) {
    const granted = row.server === null ? [] : await places.unacknowledged(trx, row.server);
    return { outcome: row.outcome, recorded: false, granted: [...granted, ...(await batchItems.waitingFor(trx, id))] };
  }
  const { outcome } = conclusion;
  if (row.committed && outcome !== 'succeeded') {
    throw failure('Bug', `Operation ${id} took effect: it can only end as succeeded, with warnings`);
  }
  await trx
    .updateTable('operations')
    .set({
      state: 'ended',
      outcome,
      failureType: conclusion.failureType ?? null,
      reason: conclusion.reason ?? null,
      details: conclusion.details ? JSON.stringify(conclusion.details) : null,
      warnings: JSON.stringify(conclusion.warnings ?? []),
      steps: JSON.stringify(conclusion.steps ?? []),
      endedAt: now(),
    })
    .where('id', '=', id)
    .execute();
  const { tenant, server, site } = row;
  for (const event of conclusion.events ?? []) {
    await events.emit(trx, { operation: id, tenant, server, site, ...event });
  }
  if (site !== null && conclusion.siteStatus) await settleSite(trx, id, site, conclusion.siteStatus);
  if (server !== null && conclusion.serverStatus) await settleServer(trx, server, conclusion.serverStatus);
  // After the site, whose failure voids what was owed for it until then.
  for (const obligation of conclusion.obligations ?? []) await obligations.add(trx, { operation: id, ...obligation });
  if (outcome !== 'succeeded') {
    await remains.owe(trx, row);
    await backups.giveUp(trx, id, conclusion.reason ?? outcome);
  }
  await restores.settle(trx, id);
  await tries.conclude(trx, id, conclusion);
  await renewals.conclude(trx, id, conclusion);
  await uploads.remove(trx, id);
  // Of a success they wait until they were shown.
  if (outcome !== 'succeeded') await secrets.remove(trx, id);
  if (row.root === id && (conclusion.refused || conclusion.failureType === 'StaleClaim'))
    await places.returnEpoch(trx, id);
  // A child works in its root's place, which is not its to give back.
  const granted = row.root === id ? await places.release(trx, { root: id, server }) : [];
  return { outcome, recorded: true, granted: [...granted, ...(await batchItems.waitingFor(trx, id))] };
}

async function settleSite(trx: Trx, operation: string, id: string, status: SiteStatus): Promise<void> {
  if (status !== 'failed') return await sites.setStatus(trx, id, status);
  const { numUpdatedRows } = await trx
    .updateTable('sites')
    .set({ status, updatedAt: now() })
    .where('id', '=', id)
    .where('createdBy', '=', operation)
    .where('status', 'in', ['provisioning', 'failed'])
    .executeTakeFirst();
  if (numUpdatedRows > 0n) await obligations.cancel(trx, { site: id });
  // While something of it is left on the server, nobody else gets its names.
  if (numUpdatedRows > 0n && (await undos.remaining(trx, operation)) === 0) await sites.freeNames(trx, id);
}

async function settleServer(trx: Trx, id: string, status: ServerStatus): Promise<void> {
  if (status !== 'failed') return await servers.setStatus(trx, id, status);
  await trx
    .updateTable('servers')
    .set({ status, updatedAt: now() })
    .where('id', '=', id)
    .where('status', '=', 'enrolling')
    .execute();
}
