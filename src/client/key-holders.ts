import { holders } from '../inventory/workers.js';
import type { Chom } from './open.js';
import { present } from './pollers.js';
import { parseWorkerIdentity } from './worker-identity.js';

/** Workers that are behind, by what they are called. */
export interface Lagging {
  /** They could not open what the key sealed. */
  lacking: string[];
  /** They seal with another one. */
  sealingOtherwise: string[];
}

/**
 * Who does not use a key (yet): all that ask Temporal for work, whatever they are, and all that tell the inventory of themselves,
 * wherever they work. @throws TemporalUnavailable; InventoryUnavailable
 */
export async function lookForHolders(chom: Chom, key: string): Promise<Lagging> {
  const temporal = await chom.temporal();
  const told = await holders(chom.inventory.db);
  const lacking = new Set(told.filter(({ keys }) => !keys.includes(key)).map(({ identity }) => identity));
  const sealingOtherwise = new Set(told.filter(({ current }) => current !== key).map(({ identity }) => identity));
  for (const { identity } of await present(temporal, chom.config.taskQueue)) {
    if (told.some((holder) => holder.identity === identity)) continue;
    // One that tells nothing of itself has the keys that it began with.
    if (!parseWorkerIdentity(identity)?.keys.includes(key)) lacking.add(identity);
    sealingOtherwise.add(identity);
  }
  const named = (identities: Set<string>) =>
    [...identities].map((identity) => parseWorkerIdentity(identity)?.process ?? identity);
  return { lacking: named(lacking), sealingOtherwise: named(sealingOtherwise) };
}
