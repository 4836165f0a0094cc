import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { createHash, randomBytes } from 'node:crypto';
import type { Config } from '../config.js';
import type { Inventory } from '../inventory/database.js';
import type { Keyring } from '../inventory/keyring.js';
import * as operations from '../inventory/operations.js';
import * as places from '../inventory/places.js';
import { busy, whereabouts } from '../inventory/whereabouts.js';
import type { Priority } from '../inventory/schema.js';
import { failure } from '../workflows/failures.js';
import { PRIORITY_KEYS, SEARCH_ATTRIBUTES, workflowType } from '../workflows/names.js';
import type { OperationKind } from '../workflows/step.js';
import type { TemporalAddress } from './connection.js';

/** What submitting needs; the command line, schedules and coordinators all have it. */
export interface Submitter {
  inventory: Inventory;
  keyring: Keyring;
  config: Config;
  temporal: Client & TemporalAddress;
}

/** An operation as it is asked for. */
export interface Request {
  kind: OperationKind;
  /** The workflow's input: a plan. */
  input: object;
  /** One line for people: what is done to what. */
  summary: string;
  tenant: string;
  /** Null: it works on no server, and takes no place. */
  server: string | null;
  serverName: string;
  site?: string;
  domain?: string;
  priority?: Priority;
  /** Alone on its server. */
  exclusive?: boolean;
  /** ISO-8601 UTC: it begins, and stands in line, not before that. */
  startsAt?: string;
  /** Whose workers take it; unless said that of the settings. */
  taskQueue?: string;
  /** False: refused where it would have to wait in line. */
  wait?: boolean;
}

/**
 * What an operation's input may be as JSON: a plan is some hundred bytes, and Temporal warns at 512 KiB and refuses at
 * 2 MiB (https://docs.temporal.io/cloud/limits, 2026-11). Bulk travels as an upload.
 */
const INPUT_LIMIT_BYTES = 256 * 1024;

/** Temporal answers within milliseconds, or is not there; what was asked for is started by the sweep. */
const START_MS = 10_000;

/** A new operation id: its kind, and 60 random bits. */
export function newOperationId(kind: OperationKind): string {
  return `${kind}-${randomId(12)}`;
}

/** `length` random characters of RFC 4648's base32 alphabet in lower case. */
export function randomId(length: number): string {
  return base32(randomBytes(length));
}

/** An operation's id that is the same whenever it is made of the same text, for what is asked for once. */
export function hashedOperationId(kind: string, text: string, length = 12): string {
  return `${kind}-${base32(createHash('sha256').update(text).digest().subarray(0, length))}`;
}

/** One character for each byte. */
function base32(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('');
}

/**
 * Asks for an operation: first its row, then its workflow, under one id, so that whoever dies in between leaves an
 * operation that is asked for and that the sweep starts. Asking again with the same id is asking once.
 * @throws InvalidInput too large; Busy naming the holder, where it may not wait; InventoryUnavailable
 */
export async function submit(chom: Submitter, request: Request, id = newOperationId(request.kind)): Promise<string> {
  refuseOversized(request);
  const { address, namespace } = chom.temporal;
  await chom.inventory.transaction(async (trx) => {
    const { outcome, run } = await operations.ask(trx, chom.keyring, {
      id,
      kind: request.kind,
      input: request.input,
      tenant: request.tenant,
      server: request.server,
      site: request.site ?? null,
      cluster: address,
      namespace,
      priority: request.priority ?? 'default',
      taskQueue: request.taskQueue ?? chom.config.taskQueue,
      ...(request.startsAt !== undefined && { startsAt: request.startsAt }),
    });
    if (outcome !== null || run !== null) return;
    // What begins later keeps nobody waiting: it gets in line when its time has come.
    if (delayOf(request) > 0) return;
    if (request.server === null && (request.site ?? null) === null) return;
    // Its place in line is that of its asking: one that is free is taken at once, with no message to wait for.
    const { tenant, server, site = null, priority = 'default', exclusive = false } = request;
    const { state } = await places.enter(trx, { root: id, tenant, server, site, priority, exclusive });
    if (state === 'running' || request.wait !== false) return;
    const where = await whereabouts(trx, id);
    if (where) throw busy(where);
  });
  await startOperation(chom, { ...request, id });
  return id;
}

/** How long it is yet, in milliseconds; 0: it is due. */
function delayOf({ startsAt }: Pick<Request, 'startsAt'>): number {
  return startsAt === undefined ? 0 : Math.max(0, Date.parse(startsAt) - Date.now());
}

function refuseOversized({ kind, input }: Request): void {
  const bytes = Buffer.byteLength(JSON.stringify(input));
  if (bytes <= INPUT_LIMIT_BYTES) return;
  throw failure('InvalidInput', `The input of ${kind} has ${bytes} bytes, and may have ${INPUT_LIMIT_BYTES}`, {
    cause: 'operations carry plans, not data',
    next: 'hand files in with --from; ask for fewer things at once',
  });
}

/**
 * Starts the workflow of an operation whose row is written. Starting it twice is starting it once: false where it was
 * started already, whatever has become of it.
 */
export async function startOperation(chom: Submitter, operation: Request & { id: string }): Promise<boolean> {
  const { tenant, serverName, domain, kind, id } = operation;
  const { temporal } = chom;
  const start = async () =>
    await temporal.workflow.start(workflowType(kind), {
      workflowId: id,
      taskQueue: operation.taskQueue ?? chom.config.taskQueue,
      startDelay: delayOf(operation),
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      args: [{ operation: id, input: operation.input }],
      staticSummary: operation.summary,
      priority: { priorityKey: PRIORITY_KEYS[operation.priority ?? 'default'], fairnessKey: tenant },
      typedSearchAttributes: [
        { key: SEARCH_ATTRIBUTES.tenant, value: tenant },
        { key: SEARCH_ATTRIBUTES.server, value: serverName },
        { key: SEARCH_ATTRIBUTES.operation, value: kind },
        ...(domain === undefined ? [] : [{ key: SEARCH_ATTRIBUTES.site, value: domain }]),
      ],
    });
  try {
    await temporal.withDeadline(Date.now() + START_MS, start);
    return true;
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return false;
  }
}
