import type { Selectable } from 'kysely';
import { failure, type FailureDetails } from '../workflows/failures.js';
import type { OperationKind } from '../workflows/step.js';
import * as batchItems from './batch-items.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import * as places from './places.js';
import * as renewals from './renewal-tries.js';
import type { OperationsTable, OperationState, Outcome, Priority } from './schema.js';
import { seal } from './sealing.js';
import * as secrets from './secrets.js';
import * as tries from './tries.js';
import * as uploads from './uploads.js';

export { conclude } from './conclusion.js';
export { begin, commitOperation, enterStep, leave, markUndone, turnBack, type Begun } from './lifecycle.js';
export { noteClosedRun, takeOver, takeOverChild, type Member, type Taken } from './settling.js';

type Parsed = 'kind' | 'committed' | 'undoing' | 'details' | 'warnings' | 'steps';

/** An operation, from the moment it was asked for; kept for ever. */
export interface Operation extends Omit<Selectable<OperationsTable>, Parsed> {
  kind: OperationKind;
  committed: boolean;
  undoing: boolean;
  details: FailureDetails | null;
  warnings: string[];
  /** The step tree as it was when the operation ended. */
  steps: unknown[];
}

export interface NewOperation {
  /** Also the workflow's id. */
  id: string;
  kind: OperationKind;
  /** What the workflow will be started with; kept sealed. */
  input: unknown;
  tenant: string;
  server: string | null;
  site: string | null;
  /** Temporal's cluster (address or its id) and namespace: whether it is lost is asked only there. */
  cluster: string;
  namespace: string;
  /** The operation it is a step of; it then shares that one's place. */
  parent?: string;
  priority?: Priority;
  /** ISO-8601 UTC: not before that. */
  startsAt?: string;
  taskQueue?: string;
}

/**
 * The row comes first, then the workflow of the same id. The id deduplicates for ever: asked again, nothing is written
 * and the row that is there is returned.
 * @throws NotFound the parent is unknown; `Conflict` the id belongs to another kind of operation
 */
export async function ask(trx: Trx, keyring: Keyring, operation: NewOperation): Promise<Operation> {
  const { id, kind, parent } = operation;
  const known = await find(trx, id);
  if (known) return sameKind(known, kind);
  const root = parent === undefined ? id : (await byId(trx, parent)).root;
  const input = await seal(trx, keyring, Buffer.from(JSON.stringify(operation.input)), context(id));
  await trx
    .insertInto('operations')
    .values({
      id,
      kind,
      input,
      tenant: operation.tenant,
      server: operation.server,
      site: operation.site,
      cluster: operation.cluster,
      namespace: operation.namespace,
      state: 'asked',
      run: null,
      epoch: 1,
      root,
      parent: parent ?? null,
      committed: 0,
      committing: null,
      undoing: 0,
      outcome: null,
      failureType: null,
      reason: null,
      details: null,
      warnings: '[]',
      steps: '[]',
      priority: operation.priority ?? 'default',
      askedAt: now(),
      startsAt: operation.startsAt ?? null,
      taskQueue: operation.taskQueue ?? null,
      startedAt: null,
      endedAt: null,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  return sameKind(await byId(trx, id), kind);
}

/**
 * Cancels one that no run has begun: its outcome is written here, and a workflow that starts later refuses the row.
 * Null when it has begun (cancel the workflow) or has ended; else who has a place now and does not know, and the batch that
 * waits for its end.
 */
export async function cancelAsked(trx: Trx, id: string): Promise<string[] | null> {
  const { server } = await byId(trx, id);
  const { numUpdatedRows } = await trx
    .updateTable('operations')
    .set({ state: 'ended', outcome: 'cancelled', reason: 'Cancelled before it began', endedAt: now() })
    .where('id', '=', id)
    .where('run', 'is', null)
    .where('outcome', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return null;
  await tries.conclude(trx, id, { outcome: 'cancelled' });
  await renewals.conclude(trx, id, { outcome: 'cancelled' });
  await uploads.remove(trx, id);
  await secrets.remove(trx, id);
  // It has had a place, or stood in line, since it was asked for; a child has none.
  const granted = await places.release(trx, { root: id, server });
  return [...granted, ...(await batchItems.waitingFor(trx, id))];
}

/** @throws NotFound also when it is another tenant's than the one that asks */
export async function byId(db: Db, id: string, filter: { tenant?: string } = {}): Promise<Operation> {
  const operation = await find(db, id);
  const foreign = filter.tenant !== undefined && operation?.tenant !== filter.tenant;
  if (!operation || foreign) throw failure('NotFound', `There is no operation ${id}`, { next: 'chom op list' });
  return operation;
}

/** Null when there is none. */
export async function find(db: Db, id: string): Promise<Operation | null> {
  const row = await db.selectFrom('operations').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? fromRow(row) : null;
}

export interface OperationFilter {
  tenant?: string;
  server?: string;
  site?: string;
  kind?: string;
  parent?: string;
  state?: OperationState;
  outcome?: Outcome;
  /** False: without those that were forgotten. */
  forgotten?: false;
  /** At most so many; 100 unless said. */
  limit?: number;
}

/** Newest first. */
export async function list(db: Db, filter: OperationFilter = {}): Promise<Operation[]> {
  let query = db.selectFrom('operations').selectAll();
  for (const column of ['tenant', 'server', 'site', 'kind', 'parent', 'state', 'outcome'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  if (filter.forgotten === false) query = query.where('forgottenAt', 'is', null);
  const newest = query.orderBy('askedAt', 'desc').orderBy('id', 'desc');
  return (await newest.limit(filter.limit ?? 100).execute()).map(fromRow);
}

/** A failed one is not listed as such any more; its row stays. Returns whether it was one. */
export async function forget(trx: Trx, id: string): Promise<boolean> {
  const failed = trx.updateTable('operations').set({ forgottenAt: now() }).where('id', '=', id);
  const { numUpdatedRows } = await failed
    .where('outcome', '=', 'failed')
    .where('forgottenAt', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/**
 * Those asked before `olderThan` (ISO-8601 UTC), and meant to begin before, that no run has begun, oldest first: their workflow was perhaps never
 * started, and starting it again under the same id does no harm.
 */
export async function lost(db: Db, olderThan: string): Promise<Operation[]> {
  const asked = open(db)
    .where('state', '=', 'asked')
    .where('askedAt', '<', olderThan)
    .where((row) => row.or([row('startsAt', 'is', null), row('startsAt', '<', olderThan)]));
  return (await asked.execute()).map(fromRow);
}

/** Root operations that have no outcome, oldest first. */
export async function unended(db: Db): Promise<Operation[]> {
  return (await open(db).where('parent', 'is', null).execute()).map(fromRow);
}

function open(db: Db) {
  return db.selectFrom('operations').selectAll().where('outcome', 'is', null).orderBy('askedAt').orderBy('id');
}

/** What the operation was asked with. @throws Forbidden as `Keyring.open`, also when sealed for another operation */
export function openInput(operation: { id: string; input: string }, keyring: Keyring): unknown {
  return JSON.parse(keyring.open(operation.input, context(operation.id)).toString('utf8')) as unknown;
}

function sameKind(operation: Operation, kind: string): Operation {
  if (operation.kind === kind) return operation;
  throw failure('Conflict', `Operation ${operation.id} is of kind ${operation.kind}, not ${kind}`);
}

/** What it is sealed for: nothing else opens it. */
export function context(id: string): string {
  return `operation/${id}`;
}

function fromRow(row: Selectable<OperationsTable>): Operation {
  return {
    ...row,
    kind: row.kind as OperationKind,
    committed: row.committed === 1,
    undoing: row.undoing === 1,
    details: row.details === null ? null : (JSON.parse(row.details) as FailureDetails),
    warnings: JSON.parse(row.warnings) as string[],
    steps: JSON.parse(row.steps) as unknown[],
  };
}
