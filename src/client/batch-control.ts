import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import type { Trx } from '../inventory/database.js';
import { failure } from '../workflows/failures.js';
import { callFor } from './coordinator.js';
import type { Chom } from './open.js';

/**
 * Nothing more of it begins until it is resumed; what is at work goes on.
 * @throws NotFound; Conflict it does not run; TemporalUnavailable
 */
export async function pauseBatch(chom: Chom, which: string): Promise<Batch> {
  return await changed(chom, which, async (trx, { id, name, state }) => {
    if (state !== 'running') throw refused(name, `is ${state}`, `chom batch show ${name}`);
    await batches.change(trx, id, { state: 'paused', pausedBy: 'operator', reason: 'Somebody paused it' });
  });
}

/**
 * Goes on with a paused one: failures up to now count no more for its threshold, and where its canaries hold it up they do no
 * more. @throws NotFound; Conflict it is not paused; TemporalUnavailable
 */
export async function resumeBatch(chom: Chom, which: string): Promise<Batch> {
  return await changed(chom, which, async (trx, batch) => {
    if (batch.state !== 'paused') throw refused(batch.name, `is ${batch.state}`, `chom batch show ${batch.name}`);
    await goOn(trx, batch, batch.pausedBy === 'approval' || batch.pausedBy === 'canaries');
  });
}

/** Goes on with one whose canaries went well and that waits for approval. @throws as `resumeBatch` */
export async function approveBatch(chom: Chom, which: string): Promise<Batch> {
  return await changed(chom, which, async (trx, batch) => {
    if (batch.state !== 'paused' || batch.pausedBy !== 'approval') {
      throw refused(batch.name, 'waits for no approval', `chom batch show ${batch.name}`);
    }
    await goOn(trx, batch, true);
  });
}

/**
 * Asks anew for whatever of it did not succeed, in a new round; its `then`, `catch` and `finally` count anew.
 * @throws NotFound; Conflict it is at work, or all of it succeeded; TemporalUnavailable
 */
export async function retryBatch(chom: Chom, which: string): Promise<Batch> {
  return await changed(chom, which, async (trx, batch) => {
    const { id, name, state, round } = batch;
    if (state !== 'ended' && state !== 'paused') throw refused(name, `is ${state}`, `chom batch watch ${name}`);
    const { item } = await batchItems.counts(trx, id);
    if (item.running > 0) throw refused(name, 'has operations at work', `chom batch show ${name}`);
    if (state === 'ended' && (await batches.list(trx, { tenant: chom.tenant, name, atWork: true })).length > 0) {
      throw batches.nameTaken(name);
    }
    if ((await batchItems.reopen(trx, id)) === 0) {
      throw refused(name, 'has nothing to retry: none of its operations failed', `chom batch show ${name}`);
    }
    await batches.change(trx, id, { round: round + 1, outcome: null, endedAt: null, canaryUntil: null });
    await goOn(trx, batch, false);
  });
}

/**
 * What has not begun never will, and what is at work is asked to stop and to take back what it did.
 * @throws NotFound; Conflict it has ended; TemporalUnavailable
 */
export async function cancelBatch(chom: Chom, which: string): Promise<Batch> {
  return await changed(chom, which, async (trx, { id, name, state, outcome }) => {
    if (state === 'ended') throw refused(name, `has ended already: ${outcome}`, `chom batch show ${name}`);
    await batches.change(trx, id, { state: 'cancelling', pausedBy: null, reason: null });
  });
}

/** What has failed up to now was looked at. */
async function goOn(trx: Trx, { id }: Batch, approved: boolean): Promise<void> {
  const { failed, cancelled } = (await batchItems.counts(trx, id)).item;
  const forgiven = failed + cancelled;
  const values = { state: 'running', pausedBy: null, reason: null, forgiven } as const;
  await batches.change(trx, id, { ...values, ...(approved && { approved: 1 as const }) });
}

/** Changes a batch of the tenant's, and has its coordinator look. One whose Temporal was lost belongs to this one from here on. */
async function changed(chom: Chom, which: string, act: (trx: Trx, batch: Batch) => Promise<void>): Promise<Batch> {
  const { tenant, inventory } = chom;
  const { id } = await batches.find(inventory.db, tenant, which);
  const { address: cluster, namespace } = await chom.temporal();
  const batch = await inventory.transaction(async (trx) => {
    const locked = await batches.lock(trx, id, { tenant });
    if (locked.cluster === batches.LOST_CLUSTER) await batches.change(trx, id, { cluster, namespace });
    else if (locked.cluster !== cluster || locked.namespace !== namespace) {
      const where = `was started on another Temporal: ${locked.cluster}, namespace ${locked.namespace}`;
      throw refused(locked.name, where, `chom batch show ${id}`);
    }
    await act(trx, locked);
    return await batches.byId(trx, id);
  });
  await callFor(chom, batch);
  return batch;
}

function refused(name: string, why: string, next: string) {
  return failure('Conflict', `Batch ${name} ${why}`, { next });
}
