import { isGrpcServiceError, ServiceError } from '@temporalio/client';
import type { Operation } from '../inventory/operations.js';
import { takeIn } from '../inventory/lost-controller.js';
import * as operations from '../inventory/operations.js';
import * as secrets from '../inventory/secrets.js';
import * as places from '../inventory/places.js';
import * as servers from '../inventory/servers.js';
import * as uploads from '../inventory/uploads.js';
import { deathOf, isOn, settle } from './settle.js';
import { type AskAuthority, askWindows, renewDue, warnOfExpiry } from './renewals.js';
import { startOperation, type Submitter } from './submit.js';
import { tryOwed } from './tries.js';
import { wakeOperations } from './wake.js';

const LOST_AFTER_MILLISECONDS = 60_000;

const ABANDONED_AFTER_MILLISECONDS = 3_600_000;

/** So many workflows are asked after at once. */
const AT_ONCE = 10;

/** gRPC statuses of a Temporal that is away (CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE): the next row would fare no better. */
const AWAY = new Set([1, 4, 14]);

/** What a sweep has taken up, by operation id. */
export interface Swept {
  /** Asked for, and never started. */
  started: string[];
  /** In line, though they could have begun, or not told of their place. */
  woken: string[];
  /** Their workflow is gone and left no outcome. */
  settling: string[];
  /** Tries of what operations owe, and whose time has come. */
  tried: string[];
  /** Tries to renew certificates that are due. */
  renewing: string[];
  /** Sites of whose certificates' near end it told. */
  warned: string[];
  /** What it could not do, for one operation or server or at all; it went on with the rest. */
  failures: Failed[];
}

/** One thing that a sweep could not do. */
export interface Failed {
  what: string;
  error: unknown;
}

/**
 * Takes up what others left behind: clients that died, messages that were lost, workflows that were terminated. What
 * cannot be done for one operation stops nothing for the others. `ask`: how authorities are asked when to renew; without it they
 * are not.
 */
export async function sweep(chom: Submitter, now = Date.now(), ask?: AskAuthority): Promise<Swept> {
  const failures: Failed[] = [];
  const part = async (what: string, act: () => Promise<string[]>) =>
    await act().catch((error: unknown) => {
      failures.push({ what, error });
      return [];
    });
  await part('Take in what a lost Temporal had', async () => await takeIn(chom.inventory, chom.temporal));
  const started = await part('Start what was asked for', async () => await startLost(chom, now, failures));
  const settling = await part('Settle what died', async () => await settleDead(chom, failures));
  const woken = await part('Wake who has a place', async () => await wakeForgotten(chom, failures));
  const tried = await part('Try what is owed', async () => await tryOwed(chom, now, failures));
  if (ask) await part('Ask when to renew', async () => await askWindows(chom, now, ask, failures));
  const renewing = await part('Renew what is due', async () => await renewDue(chom, now, failures));
  const warned = await part('Tell of what ends', async () => await warnOfExpiry(chom, now));
  await part('Remove what nobody needs', async () => {
    const before = new Date(now - ABANDONED_AFTER_MILLISECONDS).toISOString();
    await chom.inventory.transaction(async (trx) => {
      await uploads.sweep(trx, before);
      await secrets.sweep(trx, before);
    });
    return [];
  });
  return { started, woken, settling, tried, renewing, warned, failures };
}

/**
 * Starts the operations that somebody asked for and then died before starting: rows that no run has begun for a minute,
 * on this cluster and namespace, under the same id. Starting one whose workflow is there already changes nothing.
 * Returns the ids that were started; those that cannot be are added to `failures`.
 */
export async function startLost(chom: Submitter, now = Date.now(), failures: Failed[] = []): Promise<string[]> {
  const before = new Date(now - LOST_AFTER_MILLISECONDS).toISOString();
  const started: string[] = [];
  for (const row of await operations.lost(chom.inventory.db, before)) {
    if (!isOn(chom.temporal, row) || row.parent !== null) continue;
    try {
      if (await startOperation(chom, await requestOf(chom, row))) started.push(row.id);
    } catch (error) {
      failures.push({ what: `Start ${row.id}`, error });
      if (isAway(error)) break;
    }
  }
  return started;
}

/** Gives free places to those whose turn it is, and tells everybody who has one and may not know. */
export async function wakeForgotten(chom: Submitter, failures: Failed[] = []): Promise<string[]> {
  const { inventory, temporal } = chom;
  for (const server of await places.serversWaitedFor(inventory.db)) {
    try {
      await inventory.transaction(async (trx) => await places.serve(trx, server));
    } catch (error) {
      failures.push({ what: `Give places on ${server}`, error });
    }
  }
  const woken = await places.unacknowledged(inventory.db);
  if (woken.length > 0) await wakeOperations(temporal, woken);
  return woken;
}

/**
 * Settles every operation whose run is closed and has no outcome, on this cluster and namespace; also where it was closed
 * before its first act. Those that cannot be are added to `failures`.
 */
export async function settleDead(chom: Submitter, failures: Failed[] = []): Promise<string[]> {
  const settling: string[] = [];
  const rows = (await operations.unended(chom.inventory.db)).filter((row) => isOn(chom.temporal, row));
  for (let n = 0; n < rows.length; n += AT_ONCE) {
    let away = false;
    const some = rows.slice(n, n + AT_ONCE).map(async (row) => {
      try {
        const death = await deathOf(chom, row);
        if (death === null) return;
        await settle(chom, row, death);
        settling.push(row.id);
      } catch (error) {
        failures.push({ what: `Settle ${row.id}`, error });
        away ||= isAway(error);
      }
    });
    await Promise.all(some);
    if (away) break;
  }
  return settling;
}

function isAway(error: unknown): boolean {
  const { cause } = error instanceof ServiceError ? error : {};
  return isGrpcServiceError(cause) && AWAY.has(cause.code);
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
    ...(row.taskQueue !== null && { taskQueue: row.taskQueue }),
    ...(row.startsAt !== null && { startsAt: row.startsAt }),
    ...(domain !== undefined && { domain }),
  };
}
