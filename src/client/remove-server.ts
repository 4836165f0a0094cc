import * as servers from '../inventory/servers.js';
import type { Server } from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as storages from '../inventory/storages.js';
import { failure } from '../workflows/failures.js';
import { removalPlan } from '../workflows/plans.js';
import { askFor } from './ask-for.js';
import { parseServerName } from './names.js';
import type { Chom } from './open.js';

/**
 * Asks for CHOM to leave a server. `gone`: it no longer exists, and only the records end, those of its sites too.
 * @throws NotFound; Conflict sites are on it, or it keeps backups; Busy; TemporalUnavailable
 */
export async function removeServer(
  chom: Chom,
  wanted: { name: string; gone?: boolean; wait?: boolean },
): Promise<{ operation: string; server: Server }> {
  const { tenant, inventory } = chom;
  const name = parseServerName(wanted.name);
  const gone = wanted.gone === true;
  const server = await servers.byName(inventory.db, tenant, name);
  const here = await sites.list(inventory.db, { server: server.id });
  const live = here.filter(({ status }) => status !== 'failed').map(({ domain }) => domain);
  if (live.length > 0 && !gone) {
    throw failure('Conflict', `Server ${name} has ${live.length === 1 ? 'a site' : 'sites'}: ${live.join(', ')}`, {
      server: name,
      cause: 'CHOM leaves no server on which its sites are',
      next: `chom site list --server ${name}`,
    });
  }
  const kept = (await storages.keptBy(inventory.db, server.id)).map((storage) => storage.name);
  if (kept.length > 0 && !gone) {
    throw failure('Conflict', `Server ${name} keeps the backups of storage ${kept.join(', ')}`, {
      server: name,
      next: `chom storage show ${kept[0]}`,
    });
  }
  const plan = removalPlan.parse({ server: server.id, tenant, name, gone });
  const operation = await askFor(chom, {
    kind: 'remove-server',
    input: plan,
    summary: gone ? `Forget server ${name}, which is gone` : `Remove CHOM from server ${name}`,
    tenant,
    // One that is gone may never let go of its place.
    server: gone ? null : server.id,
    serverName: name,
    exclusive: true,
    ...(wanted.wait !== undefined && { wait: wanted.wait }),
  });
  return { operation, server };
}
