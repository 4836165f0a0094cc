import type { FailureDetails } from '../workflows/failures.js';
import { UNDO } from '../workflows/plans.js';
import type { OperationKind } from '../workflows/step.js';
import * as batches from './batches.js';
import { now } from './clock.js';
import { conclude } from './conclusion.js';
import type { Db, Inventory, Trx } from './database.js';
import { failureEvents } from './failure-events.js';
import * as obligations from './obligations.js';

/** The Temporal of operations whose own one is lost, until a worker takes them in. */
const LOST = 'lost';

/** The run of those that no run had begun; it is no id that Temporal makes. */
const NO_RUN = 'lost';

/** What became of what was at work. */
export interface Aftermath {
  /** Operations without an outcome, which have one now. */
  ended: { id: string; kind: string; outcome: string }[];
  /** What is owed and will be tried again. */
  owed: number;
}

const REASON = 'The controller was lost, and what became of this afterwards is not in the copy of the inventory';

/**
 * Ends, in a copy of the inventory that was restored, all that had no outcome when the copy was made. It may have ended since: so
 * nothing of it is begun again, and nothing is taken back by itself, for a site that was half-built then may be live now. What
 * an operation journalled stays on record, and is taken back when somebody asks for it. What is owed comes to whichever Temporal
 * a worker serves next. Done again, it changes nothing.
 */
export async function endLost(trx: Trx): Promise<Aftermath> {
  // All at once, so that no end gives a place, and with it an epoch, to one that ends next.
  await trx.deleteFrom('places').execute();
  await batches.endLost(trx);
  const open = await trx
    .selectFrom('operations')
    .selectAll()
    .where('outcome', 'is', null)
    // A child is asked for after its parent, and its id is longer.
    .orderBy('askedAt', 'desc')
    .orderBy('id', 'desc')
    .execute();
  const ended: Aftermath['ended'] = [];
  for (const { id, kind, run, epoch, committed } of open) {
    if (run === null) await trx.updateTable('operations').set({ run: NO_RUN }).where('id', '=', id).execute();
    const fence = { operation: id, run: run ?? NO_RUN, epoch };
    const { outcome } = committed
      ? await conclude(trx, fence, {
          outcome: 'succeeded',
          warnings: ['The controller was lost after it had taken effect: what followed may not have been done'],
        })
      : await giveUp(trx, fence, kind as OperationKind);
    ended.push({ id, kind, outcome });
  }
  return {
    ended: ended.toReversed(),
    owed: await comeLoose(
      trx,
      open.map(({ id }) => id),
    ),
  };
}

async function giveUp(trx: Trx, fence: { operation: string; run: string; epoch: number }, kind: OperationKind) {
  const { operation } = fence;
  const journalled = trx.updateTable('undos').set({ state: 'failed', reason: REASON, at: now() });
  await journalled.where('operation', '=', operation).where('state', '=', 'journalled').execute();
  const failed = trx.selectFrom('undos').select('label').where('operation', '=', operation);
  const left = await failed.where('state', '=', 'failed').orderBy('step', 'desc').execute();
  const warnings = left.map(({ label }) => `Not undone: ${label}: ${REASON}`);
  const details: FailureDetails = {
    cause: 'The inventory was restored from a backup that was made while this was under way',
    next:
      left.length > 0 ? `look at what is there, and chom op settle ${operation} to take it back` : 'ask for it again',
  };
  const type = 'Interrupted';
  const conclusion = await conclude(trx, fence, {
    outcome: 'failed',
    failureType: type,
    reason: REASON,
    details,
    warnings,
    events: failureEvents(kind, { type, reason: REASON, details, warnings }),
    siteStatus: 'failed',
    serverStatus: 'failed',
  });
  await obligations.close(trx, { operation, name: UNDO }, 'void');
  return conclusion;
}

/** Those that ended so, and those that owe something, are no longer of the Temporal that is gone. Returns how much is owed. */
async function comeLoose(trx: Trx, ended: readonly string[]): Promise<number> {
  const open = await trx.selectFrom('obligations').select('operation').where('state', '=', 'open').execute();
  const loose = [...new Set([...ended, ...open.map(({ operation }) => operation)])];
  for (const id of loose) {
    await trx.updateTable('operations').set({ cluster: LOST, namespace: LOST }).where('id', '=', id).execute();
  }
  return open.length;
}

/** Those whose Temporal is lost belong to this one from here on. Returns their ids. */
export async function takeIn(inventory: Inventory, at: { address: string; namespace: string }): Promise<string[]> {
  // Every sweep asks, and almost always there are none: that is no reason to hold the only write lock.
  const ids = await lostOnes(inventory.db);
  if (ids.length === 0) return [];
  await inventory.transaction(async (trx) => {
    const mine = trx.updateTable('operations').set({ cluster: at.address, namespace: at.namespace });
    await mine.where('cluster', '=', LOST).where('namespace', '=', LOST).execute();
  });
  return ids;
}

async function lostOnes(db: Db): Promise<string[]> {
  const all = db.selectFrom('operations').select('id').where('cluster', '=', LOST).where('namespace', '=', LOST);
  return (await all.orderBy('id').execute()).map(({ id }) => id);
}
