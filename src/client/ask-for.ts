import { ApplicationFailure } from '@temporalio/common';
import type { Priority } from '../inventory/schema.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Chom } from './open.js';
import { newOperationId, submit, type Request } from './submit.js';

/**
 * Submits a request and returns the operation's id.
 * @throws Busy; InventoryUnavailable; TemporalUnavailable, also when Temporal goes away between row and workflow: the
 *   operation is asked for by then
 */
export async function askFor(chom: Chom, request: Request, id = newOperationId(request.kind)): Promise<string> {
  const temporal = await chom.temporal();
  try {
    return await submit({ ...chom, temporal }, { ...request, ...chom.asking }, id);
  } catch (error) {
    if (error instanceof ApplicationFailure) throw error;
    throw failure('TemporalUnavailable', `Operation ${id} is asked for, but Temporal did not start it`, {
      cause: messageOf(error),
      next: `chom op watch ${id}: a worker starts it within minutes of Temporal's return; or: chom op cancel ${id}`,
    });
  }
}

/** What all verbs take that ask for an operation. */
export interface Asking {
  /** False: refused where it would have to wait in line. */
  wait?: boolean;
  /** Its id; made up unless said. Asked for under one id twice, it is done once. */
  operation?: string;
  /** Before or behind what others ask for; unless said what the verb has. */
  priority?: Priority;
}

/** What a site's plan says of itself. */
interface OfSite {
  tenant: string;
  server: string;
  serverName: string;
  site: string;
  domain: string;
}

/** The same of an operation on one site, by its plan. @throws as `askFor` */
export async function askForSite(
  chom: Chom,
  {
    kind,
    plan,
    summary,
    wait,
    operation,
    priority,
  }: Required<Pick<Request, 'kind' | 'summary' | 'wait'>> & {
    plan: OfSite;
    operation?: string | undefined;
    priority?: Priority | undefined;
  },
): Promise<string> {
  const { tenant, server, serverName, site, domain } = plan;
  const request = {
    kind,
    input: plan,
    summary,
    tenant,
    server,
    serverName,
    site,
    domain,
    wait,
    ...(priority && { priority }),
  };
  return await askFor(chom, request, operation);
}
