import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../config.js';
import type { Inventory } from '../inventory/database.js';
import * as deliveries from '../inventory/deliveries.js';
import type { Delivery } from '../inventory/deliveries.js';
import * as events from '../inventory/events.js';
import type { Keyring } from '../inventory/keyring.js';
import { messageOf as reasonOf } from '../workflows/thrown.js';
import { nextTry } from './backoff.js';
import { messageOf } from './message.js';
import type { Told } from './post.js';
import { receivers, tell } from './receivers.js';

/** A worker that died leaves what it had taken to others after so long, in milliseconds. */
const LEASE = 60_000;

/** How many are on their way at once, all in all and to one receiver: one that is slow holds up no other. */
const AT_ONCE = 20;
const TO_ONE = 4;

/** Received ones are kept for so long, in milliseconds, so that `webhook show` can count them. */
const KEPT = 30 * 86_400_000;

export interface Deliverer {
  inventory: Inventory;
  keyring: Keyring;
  settings: Config;
  /** Id of the installation. */
  controller: string;
  log: Pick<Logger, 'warn'>;
}

/**
 * Tells receivers of events until `end`: each at least once, with an id to know it again by. What is on its way holds up
 * no operation; a worker that ends leaves it to the next one.
 */
export async function keepDelivering(deliverer: Deliverer, end: AbortSignal, everyMilliseconds = 1000): Promise<void> {
  const { inventory, log } = deliverer;
  // Each with its receiver.
  const sent = new Map<Promise<void>, string>();
  let swept = 0;
  while (!end.aborted) {
    try {
      for (const delivery of await takeDue(deliverer, [...sent.values()])) {
        const one = deliver(deliverer, delivery)
          .catch((error: unknown) => log.warn({ err: error }, 'a delivery could not be noted'))
          .finally(() => sent.delete(one));
        sent.set(one, delivery.receiver);
      }
      if (Date.now() - swept > 3_600_000) {
        swept = Date.now();
        await inventory.transaction(
          async (trx) => await deliveries.sweep(trx, new Date(Date.now() - KEPT).toISOString()),
        );
      }
    } catch (error) {
      log.warn({ err: error }, 'events cannot be delivered');
    }
    await sleep(everyMilliseconds, undefined, { signal: end }).catch(() => undefined);
  }
  await Promise.all(sent.keys());
}

/** Addresses what is new, and takes what is due, of receivers that have not enough on their way. `busy`: whose each of that is. */
async function takeDue({ inventory, settings }: Deliverer, busy: readonly string[]): Promise<Delivery[]> {
  const { db } = inventory;
  const now = Date.now();
  const at = new Date(now).toISOString();
  const all = await receivers(db, settings);
  const fresh = await events.pending(db, 1);
  if (fresh.length > 0) await inventory.transaction(async (trx) => await deliveries.address(trx, all));
  const limit = AT_ONCE - busy.length;
  const free = all.map(({ id }) => id).filter((id) => busy.filter((one) => one === id).length < TO_ONE);
  if (limit <= 0 || !(await deliveries.anyDue(db, at, free))) return [];
  const until = new Date(now + LEASE).toISOString();
  return await inventory.transaction(
    async (trx) => await deliveries.take(trx, { at, until, receivers: free, limit, toOne: TO_ONE }),
  );
}

/** Tells its receiver and notes what came of it. */
async function deliver(deliverer: Deliverer, delivery: Delivery): Promise<void> {
  const { inventory, keyring, settings, controller, log } = deliverer;
  const { db } = inventory;
  const event = await events.bySeq(db, delivery.event);
  const told: Told = event
    ? await tell({ db, keyring, settings }, delivery, await messageOf(db, controller, event)).catch(
        (error: unknown): Told => ({ ok: false, reason: reasonOf(error) }),
      )
    : { ok: false, reason: 'the event is not known any more', final: true };
  const { seq, tries, receiver } = delivery;
  await inventory.transaction(async (trx) => {
    if (told.ok) return await deliveries.succeed(trx, seq);
    const firstTriedAt = Date.parse(delivery.firstTriedAt ?? '');
    const next = told.final ? null : nextTry({ tries, firstTriedAt }, Date.now(), told.retryAfterSeconds);
    if (next === null) log.warn({ receiver, event: event?.type, reason: told.reason }, 'an event is given up');
    await deliveries.fail(trx, seq, told.reason, next === null ? null : new Date(next).toISOString());
  });
}
