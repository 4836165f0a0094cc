import * as sites from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import type { Chom } from './open.js';

/** Names that a site is to get are nobody's. @throws Conflict naming whose one is, unless that is another tenant's */
export async function refuseTaken(chom: Pick<Chom, 'inventory' | 'tenant'>, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const holder = await sites.holding(chom.inventory.db, name);
    if (!holder) continue;
    // To another tenant the holder is nobody's business.
    if (holder.tenant !== chom.tenant) throw failure('Conflict', `${name} is taken`);
    const as = holder.domain === name ? 'it is a site already' : `it is an alias of ${holder.domain}`;
    throw failure('Conflict', `${name} is taken`, {
      cause: `${as} (${holder.status}, made by ${holder.createdBy})`,
      holder: holder.createdBy,
      next: `chom site show ${holder.domain}`,
    });
  }
}
