import * as checks from '../inventory/server-checks.js';
import * as servers from '../inventory/servers.js';
import { checkPlan } from '../workflows/check-plan.js';
import { askFor } from './ask-for.js';
import type { Chom } from './open.js';
import { expectEnrolled } from './rotate-credentials.js';
import { newOperationId } from './submit.js';

/**
 * Asks for a server to be looked at, and what is wrong with it to be recorded. Of one that is being looked at already that
 * check's id is returned. `operation`: its id; made up unless said.
 * @throws InvalidInput; NotFound no such server; Conflict it is not enrolled; TemporalUnavailable
 */
export async function checkServer(
  chom: Chom,
  given: string,
  { operation }: { operation?: string } = {},
): Promise<{ operation: string; server: servers.Server }> {
  const server = await expectEnrolled(chom, given);
  const { id, name, tenant } = server;
  const wanted = operation ?? newOperationId('check-server');
  const held = await chom.inventory.transaction(async (trx) => await checks.claim(trx, id, wanted));
  if (held !== wanted) return { operation: held, server };
  const input = checkPlan.parse({ tenant, server: id, name });
  const summary = `Check server ${name}`;
  // On no server: it takes no place there.
  const request = { kind: 'check-server', input, summary, priority: 'low', server: null, serverName: name } as const;
  return { operation: await askFor(chom, { ...request, tenant }, wanted), server };
}

/** The servers that are looked at, by name: those that are enrolled. */
export async function checkedServers({ inventory, tenant }: Chom): Promise<servers.Server[]> {
  return (await servers.list(inventory.db, { tenant })).filter(({ status }) => status === 'active');
}
