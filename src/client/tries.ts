import * as obligations from '../inventory/obligations.js';
import type { Obligation } from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as tries from '../inventory/tries.js';
import { CERTIFICATE, certificatePlan } from '../workflows/plans.js';
import { isOn } from './settle.js';
import { submit, type Request, type Submitter } from './submit.js';
import type { Failed } from './sweep.js';

/**
 * Asks for an operation for each obligation that is due and that no try is at work on, on the cluster and namespace of the
 * operation that owes it. However many do so at once, a try is asked for once. Returns the ids of the tries; what cannot be
 * tried is added to `failures`.
 */
export async function tryOwed(chom: Submitter, now = Date.now(), failures: Failed[] = []): Promise<string[]> {
  const { inventory, temporal } = chom;
  const at = new Date(now).toISOString();
  const tried: string[] = [];
  for (const owed of await obligations.due(inventory.db, at)) {
    try {
      if (!isOn(temporal, await operations.byId(inventory.db, owed.operation))) continue;
      const request = await requestOf(chom, owed);
      if (request === null) continue;
      const id = await inventory.transaction(async (trx) => await tries.next(trx, owed, at));
      if (id !== null) tried.push(await submit(chom, request, id));
    } catch (error) {
      failures.push({ what: `Try ${owed.name} of ${owed.operation}`, error });
    }
  }
  return tried;
}

/** What is asked for to meet an obligation; nobody waits for it. Null: a newer CHOM knows what it is. */
async function requestOf({ inventory }: Submitter, owed: Obligation): Promise<Request | null> {
  if (owed.name !== CERTIFICATE) return null;
  const { id, tenant, domain, server } = await sites.byId(inventory.db, String(owed.targets['site']));
  const { name: serverName } = await servers.byId(inventory.db, server);
  const input = certificatePlan.parse({ site: id, tenant, server, serverName, names: owed.targets['names'] });
  const what = { kind: 'issue-certificate', summary: `Issue a certificate for ${domain}`, priority: 'low' } as const;
  return { ...what, input, tenant, server, serverName, site: id, domain };
}
