import type { Operation } from '../inventory/operations.js';
import * as operations from '../inventory/operations.js';
import * as secrets from '../inventory/secrets.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as uploads from '../inventory/uploads.js';
import { deathOf, settle } from './settle.js';
import { startOperation, type Submitter } from './submit.js';
import { wakeOperations } from './wake.js';

const LOST_AFTER_MILLISECONDS = 60_000;

const ABANDONED_AFTER_MILLISECONDS = 3_600_000;

/** So many workflows are asked after at once. */
const AT_ONCE = 10;

/** What a sweep has taken up, by operation id. */
export interface Swept {
  /** Asked for, and never started. */
  started: string[];
  /** In line, though they could have begun, or not told of their place. */
  woken: string[];
  /** Their workflow is gone and left no outcome. */
  settling: string[];
}

/** Takes up what others left behind: clients that died, messages that were lost, workflows that were terminated. */
export async function sweep(chom: Submitter, now = Date.now()): Promise<Swept> {
  const started = await startLost(chom, now);
  const settling = await settleDead(chom);
  const woken = await wakeForgotten(chom);
  const before = new Date(now - ABANDONED_AFTER_MILLISECONDS).toISOString();
  await chom.inventory.transaction(async (trx) => {
    await uploads.sweep(trx, before);
    await secrets.sweep(trx, before);
  });
  return { started, woken, settling };
}

/**
 * Starts the operations that somebody asked for and then died before starting: rows that no run has begun for a minute,
 * on this cluster and namespace, under the same id. Starting one whose workflow is there already changes nothing.
 * Returns the ids that were started.
 */
export async function startLost(chom: Submitter, now = Date.now()): Promise<string[]> {
  const before = new Date(now - LOST_AFTER_MILLISECONDS).toISOString();
  const started: string[] = [];
  for (const row of await operations.lost(chom.inventory.db, before)) {
    if (!isHere(chom, row) || row.parent !== null) continue;
    if (await startOperation(chom, await requestOf(chom, row))) started.push(row.id);
  }
  return started;
}

/** Gives free places to those whose turn it is, and tells everybody who has one and may not know. */
export async function wakeForgotten(chom: Submitter): Promise<string[]> {
  const { inventory, temporal } = chom;
  for (const server of await places.serversWaitedFor(inventory.db)) {
    await inventory.transaction(async (trx) => await places.serve(trx, server));
  }
  const woken = await places.unacknowledged(inventory.db);
  if (woken.length > 0) await wakeOperations(temporal, woken);
  return woken;
}

/**
 * Settles every operation whose run is closed and has no outcome, on this cluster and namespace; also where it was closed
 * before its first act.
 */
export async function settleDead(chom: Submitter): Promise<string[]> {
  const settling: string[] = [];
  const rows = (await operations.unended(chom.inventory.db)).filter((row) => isHere(chom, row));
  for (let n = 0; n < rows.length; n += AT_ONCE) {
    const some = rows.slice(n, n + AT_ONCE).map(async (row) => {
      const death = await deathOf(chom, row);
      if (death === null) return;
      await settle(chom, row, death);
      settling.push(row.id);
    });
    await Promise.all(some);
  }
  return settling;
}

/** Another Temporal may well know what this one does not. */
function isHere({ temporal }: Submitter, { cluster, namespace }: Operation): boolean {
  return cluster === temporal.address && namespace === temporal.namespace;
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
