import { createHash } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { Scheduler } from '../activities/schedule.js';
import * as events from '../inventory/events.js';
import * as queues from '../inventory/queues.js';
import { isFailureType, RETRYABLE } from '../workflows/failures.js';
import type { Refused, Round, RoundEnd, ScheduledWork } from '../workflows/run-schedule.js';
import type { OperationKind } from '../workflows/step.js';
import { messageOf } from '../workflows/thrown.js';
import type { Chom } from './open.js';
import { SCHEDULED_WORK, type Item } from './scheduled-work.js';
import { hashedOperationId, type Submitter } from './submit.js';

/** What workers do for runs of schedules, of the installation that `chom` belongs to. */
export function createScheduler(chom: Submitter): Scheduler {
  return {
    async ask(round) {
      const work = SCHEDULED_WORK[round.work];
      if ('items' in work) return await askDue(chom, round, { ...work, items: await work.items(chom) });
      await work.act(chom);
      return { asked: 0, waiting: [], refused: [] };
    },
    tell: async (run) => await tell(chom, run),
  };
}

/** When in its window, from 0 to 1, a thing falls due: by a hash, so that it is the same in every run. */
export function momentOf(key: string): number {
  return createHash('sha256').update(key).digest().readUInt32BE() / 2 ** 32;
}

/** The operation that a run asks for under a key. */
export function scheduledId(kind: OperationKind, run: string, key: string): string {
  return hashedOperationId(kind, `${run}\0${key}`);
}

interface Due {
  kind: OperationKind;
  perServer: number;
  inTurn?: true;
  items: Item[];
}

/** @throws InventoryUnavailable */
async function askDue(chom: Submitter, round: Round, { kind, perServer, inTurn, items }: Due): Promise<RoundEnd> {
  const { after, upTo, run, windowMilliseconds } = round;
  const { db } = chom.inventory;
  const before = new Set(round.waiting);
  const due = items.filter(({ key }) => {
    const moment = momentOf(key) * windowMilliseconds;
    return before.has(key) || (moment > after && moment <= upTo);
  });
  const ids = new Map(due.map(({ key }) => [key, scheduledId(kind, run, key)]));
  const known = await queues.outcomes(db, [...ids.values()]);
  const open = await queues.openByServer(db, kind);
  const end: RoundEnd = { asked: 0, waiting: [], refused: [] };
  // Of those that go one after the other the one that was asked for stays on the list until it has ended.
  const outcomes = [...known.values()];
  const stopped = inTurn === true && outcomes.some((outcome) => outcome === 'failed');
  let busy = inTurn === true && outcomes.includes(null);
  for (const { key, what, tenant, server, ask } of due) {
    const operation = ids.get(key) ?? '';
    if (known.has(operation)) {
      if (inTurn && known.get(operation) === null) end.waiting.push(key);
      continue;
    }
    if (stopped) {
      end.refused.push({ tenant, what, reason: 'one before it failed: no more are begun until somebody has looked' });
      continue;
    }
    if (busy || (open.get(server) ?? 0) >= perServer) {
      end.waiting.push(key);
      continue;
    }
    try {
      if (!(await ask(asTenant(chom, tenant), { operation, priority: 'low' }))) continue;
    } catch (error) {
      if (mayPass(error)) throw error;
      end.refused.push({ tenant, what, reason: messageOf(error) });
      continue;
    }
    end.asked += 1;
    open.set(server, (open.get(server) ?? 0) + 1);
    if (!inTurn) continue;
    busy = true;
    end.waiting.push(key);
  }
  return end;
}

/** A defect that one thing brings to light keeps nothing from the others. */
function mayPass(error: unknown): boolean {
  return error instanceof ApplicationFailure && isFailureType(error.type) && RETRYABLE[error.type];
}

function asTenant(chom: Submitter, tenant: string): Chom {
  return { ...chom, tenant, temporal: async () => chom.temporal, close: async () => {} };
}

/** Each tenant is told of what is its own. Done again it changes nothing. */
async function tell(
  chom: Submitter,
  { work, run, refused, left }: { work: ScheduledWork; run: string; refused: Refused[]; left: string[] },
): Promise<void> {
  const { inventory } = chom;
  const done = SCHEDULED_WORK[work];
  const waiting = new Set(left);
  const items = 'items' in done && left.length > 0 ? await done.items(chom) : [];
  const unasked = items.filter(({ key }) => waiting.has(key));
  const tooLate = 'it still had to wait when the run was given up';
  const all = [...refused, ...unasked.map(({ tenant, what }) => ({ tenant, what, reason: tooLate }))];
  for (const tenant of new Set(all.map((one) => one.tenant))) {
    const own = all.filter((one) => one.tenant === tenant).map(({ what, reason }) => ({ what, reason }));
    const [{ what, reason: why } = { what: '', reason: '' }] = own;
    const reason = `The schedule ${work} did not ask for ${own.length}, ${what} the first: ${why}`;
    const of = { operation: `schedule/${run}/${tenant}`, tenant, server: null, site: null };
    const next = `chom schedule show ${work}`;
    await inventory.transaction(async (trx) => {
      const data = { schedule: work, unasked: own.slice(0, 50), count: own.length, next };
      await events.emit(trx, { ...of, type: 'ScheduleIncomplete', data });
      const alert = { severity: 'error', about: 'ScheduleIncomplete', reason, next };
      await events.emit(trx, { ...of, type: 'Alert', data: alert });
    });
  }
}
