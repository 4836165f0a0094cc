import type { Config } from '../config.js';
import type { Inventory } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import * as queues from '../inventory/queues.js';
import * as tenants from '../inventory/tenants.js';

/** More failed operations within an hour are an alert. */
const MOST_FAILED = 10;
/** And more that wait for a place or a worker. */
const MOST_WAITING = 1000;
const HOUR_MS = 3_600_000;

/**
 * Raises an alert, once an hour, where more than 10 operations failed within the last one, or more than 1000 wait. `now` in
 * milliseconds. @throws InventoryUnavailable; NotFound the tenant of the settings
 */
export async function watchQueues(inventory: Inventory, config: Config, now: number): Promise<void> {
  const since = new Date(now - HOUR_MS).toISOString();
  const failed = await queues.failedSince(inventory.db, since);
  const waiting = await queues.waiting(inventory.db);
  const wrong = [
    ...(failed > MOST_FAILED
      ? [{ what: 'failed', reason: `${failed} operations failed within an hour`, next: 'chom op list --failed' }]
      : []),
    ...(waiting > MOST_WAITING
      ? [{ what: 'waiting', reason: `${waiting} operations wait`, next: 'chom doctor; perhaps another worker' }]
      : []),
  ];
  if (wrong.length === 0) return;
  const { id: tenant } = await tenants.byName(inventory.db, config.tenant);
  const hour = new Date(now).toISOString().slice(0, 13);
  await inventory.transaction(async (trx) => {
    for (const { what, reason, next } of wrong) {
      const of = { operation: `queue/${what}/${hour}`, tenant, server: null, site: null };
      await events.emit(trx, { ...of, type: 'Alert', data: { severity: 'error', about: 'Queue', reason, next } });
    }
  });
}
