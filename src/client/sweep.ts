import type { Operation } from '../inventory/operations.js';
import * as operations from '../inventory/operations.js';
import * as secrets from '../inventory/secrets.js';
import * as servers from '../inventory/servers.js';
import * as uploads from '../inventory/uploads.js';
import { startOperation, type Submitter } from './submit.js';

const LOST_AFTER_MILLISECONDS = 60_000;

const ABANDONED_AFTER_MILLISECONDS = 3_600_000;

/** Takes up what clients left behind: starts their operations, and drops uploads and secrets that nothing was asked for with. */
export async function sweep(chom: Submitter, now = Date.now()): Promise<string[]> {
  const started = await startLost(chom, now);
  const before = new Date(now - ABANDONED_AFTER_MILLISECONDS).toISOString();
  await chom.inventory.transaction(async (trx) => {
    await uploads.sweep(trx, before);
    await secrets.sweep(trx, before);
  });
  return started;
}

/**
 * Starts the operations that somebody asked for and then died before starting: rows that no run has begun for a minute,
 * on this cluster and namespace, under the same id. Starting one that runs already changes nothing.
 * Returns the ids that were started.
 */
export async function startLost(chom: Submitter, now = Date.now()): Promise<string[]> {
  const before = new Date(now - LOST_AFTER_MILLISECONDS).toISOString();
  const { address, namespace } = chom.temporal;
  const started: string[] = [];
  for (const row of await operations.lost(chom.inventory.db, before)) {
    if (row.cluster !== address || row.namespace !== namespace || row.parent !== null) continue;
    await startOperation(chom, await requestOf(chom, row));
    started.push(row.id);
  }
  return started;
}

async function requestOf(chom: Submitter, row: Operation) {
  const input = operations.openInput(row, chom.keyring) as { domain?: string; names?: string[] };
  const server = row.server === null ? null : await servers.byId(chom.inventory.db, row.server);
  const domain = input.domain ?? input.names?.[0];
  return {
    id: row.id,
    kind: row.kind,
    input,
    summary: `${row.kind}${domain === undefined ? '' : ` ${domain}`}${server ? ` on ${server.name}` : ''}`,
    tenant: row.tenant,
    server: row.server ?? '',
    serverName: server?.name ?? '',
    priority: row.priority,
    ...(domain !== undefined && { domain }),
  };
}
