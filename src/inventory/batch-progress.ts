import { decide, type Decision, type Standing } from './batch-rules.js';
import * as batches from './batches.js';
import type { Batch } from './batches.js';
import * as batchClaims from './batch-claims.js';
import * as batchItems from './batch-items.js';
import type { Item } from './batch-items.js';
import { now as clock } from './clock.js';
import type { Db, Trx } from './database.js';
import * as events from './events.js';

/** What a look at a batch came to. */
export interface Proceeded {
  batch: Batch;
  standing: Standing;
  /** Whose operations are to be asked for now. */
  ask: Item[];
  /** Operations that are to be cancelled. */
  cancel: string[];
  /** It goes on by itself then (milliseconds). */
  lookAt: number | null;
}

/** How a batch stands. */
export async function standingOf(db: Db, batch: Batch): Promise<Standing> {
  const { kind, state, rules, approved, forgiven, id } = batch;
  const [startsAt, canaryUntil] = [batch.startsAt, batch.canaryUntil].map((at) =>
    at === null ? null : Date.parse(at),
  );
  const times = { startsAt: startsAt ?? null, canaryUntil: canaryUntil ?? null };
  return { kind, state, rules, approved, forgiven, ...times, phases: await batchItems.counts(db, id) };
}

/**
 * Has a batch go on: notes which operations have ended, and decides what follows, all in the rows. What was to be asked for
 * and was not, since whoever meant to died, is returned again. `now`: milliseconds of the coordinator's own time.
 * @throws NotFound
 */
export async function proceed(trx: Trx, id: string, now: number): Promise<Proceeded> {
  let batch = await batches.lock(trx, id);
  await batchItems.settle(trx, id);
  const ask = await batchClaims.unasked(trx, id);
  if (batch.state === 'cancelling') {
    // Nobody has asked for them, and nobody does any more.
    for (const item of ask.splice(0).filter(({ phase }) => phase === 'item'))
      await batchItems.end(trx, item, 'cancelled');
    ask.push(...(await batchClaims.unasked(trx, id)));
  }
  for (;;) {
    const standing = await standingOf(trx, batch);
    const decision = decide(standing, now);
    ask.push(...(await begin(trx, batch, decision)));
    if (await apply(trx, batch, decision)) {
      batch = await batches.byId(trx, id);
      continue;
    }
    const cancel = batch.state === 'cancelling' ? await batchItems.atWork(trx, id) : [];
    return { batch, standing: await standingOf(trx, batch), ask, cancel, lookAt: decision.lookAt };
  }
}

async function begin(trx: Trx, batch: Batch, { start, handlers }: Decision): Promise<Item[]> {
  const { id, round, rules } = batch;
  const begun =
    start > 0 ? await batchClaims.claim(trx, { batch: id, round }, { start, perServer: rules.perServer }) : [];
  for (const phase of handlers) begun.push(...(await batchClaims.claimPhase(trx, id, round, phase)));
  return begun;
}

/** Writes what was decided. Returns whether there is something new to decide. */
async function apply(trx: Trx, batch: Batch, { drop, approve, waitUntil, pause, end }: Decision): Promise<boolean> {
  const { id } = batch;
  for (const { phase, as } of drop) await batchItems.drop(trx, id, phase, as);
  if (approve) await batches.change(trx, id, { approved: 1 });
  if (waitUntil !== null) await batches.change(trx, id, { canaryUntil: new Date(waitUntil).toISOString() });
  if (pause) {
    const pauses = batch.pauses + 1;
    await batches.change(trx, id, { state: 'paused', pausedBy: pause.by, reason: pause.reason, pauses });
    await tell(trx, batch, `pause-${pauses}`, 'BatchPaused', { by: pause.by, reason: pause.reason });
    // Nobody may be watching; what waits for approval is as it was wanted.
    if (pause.by !== 'approval') {
      const about = { severity: 'error', about: 'BatchPaused', reason: `${batch.name}: ${pause.reason}` };
      await tell(trx, batch, `pause-${pauses}`, 'Alert', about);
    }
  }
  if (end !== null) {
    await batches.change(trx, id, { state: 'ended', outcome: end, pausedBy: null, reason: null, endedAt: clock() });
    const { item } = await batchItems.counts(trx, id);
    await tell(trx, batch, `end-${batch.round}`, 'BatchEnded', { outcome: end, ...item });
  }
  return drop.length > 0 || approve || pause !== null || end !== null;
}

/** Each pause and each end is told of once. */
async function tell(
  trx: Trx,
  { id, tenant, name, kind }: Batch,
  what: string,
  type: 'BatchPaused' | 'BatchEnded' | 'Alert',
  data: Record<string, unknown>,
): Promise<void> {
  const of = { operation: `${id}/${what}`, tenant, server: null, site: null };
  await events.emit(trx, { ...of, type, data: { batch: id, kind, name, ...data } });
}
