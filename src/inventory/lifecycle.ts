import { failure } from '../workflows/failures.js';
import type { Undo } from '../workflows/step.js';
import { now } from './clock.js';
import { type Inventory, superseded, type Trx } from './database.js';
import type { Keyring } from './keyring.js';
import * as places from './places.js';
import { whereabouts } from './whereabouts.js';
import * as undos from './undos.js';

/** What a run knows of its place. */
export interface Begun {
  root: string;
  /** What it writes and works at. */
  epoch: number;
  /** False: it is in line, and begins again when it is told, or looks. */
  granted: boolean;
  /** How many are before it, and itself; only of one in line. */
  position?: number;
}

/**
 * The operation's first act: this run is the one that may write, and a root operation has its place or stands in line
 * for one (`exclusive`: alone on its server). Begun again by the same run it changes nothing, or takes up the place
 * that it was given meanwhile.
 * @throws Superseded the operation has an outcome or another run
 * @throws NotFound nobody asked for this operation
 */
export async function begin(
  inventory: Inventory,
  { operation, run, exclusive = false }: { operation: string; run: string; exclusive?: boolean },
): Promise<Begun> {
  return await inventory.transaction(async (trx) => {
    const row = await locked(trx, operation);
    if (row.outcome !== null || (row.run !== null && row.run !== run)) {
      throw superseded({ operation, run, epoch: row.epoch }, row);
    }
    const { root, tenant, server, site, priority } = row;
    const needsNone = root === operation && server === null && site === null;
    const place = needsNone
      ? null
      : root === operation
        ? await places.enter(trx, { root, tenant, server, site, priority, exclusive })
        : await rootPlace(trx, operation, root);
    const granted = place === null || place.state === 'running';
    const epoch = place !== null && granted ? place.epoch : row.epoch;
    const state = granted ? 'running' : 'waiting';
    const startedAt = row.startedAt ?? (granted ? now() : null);
    await trx.updateTable('operations').set({ run, epoch, state, startedAt }).where('id', '=', operation).execute();
    const ahead = granted ? null : await whereabouts(trx, operation);
    return { root, epoch, granted, ...(ahead && { position: ahead.position }) };
  });
}

/**
 * Inside `fenced`: gives the place back for as long as the operation only waits; `begin` gets in line again. Returns
 * who has a place and does not know. @throws Bug something is left on the server that only the holder may touch
 */
export async function leave(trx: Trx, operation: string): Promise<string[]> {
  const row = await locked(trx, operation);
  if (row.root !== operation || (!row.committed && (await undos.remaining(trx, operation)) > 0)) {
    throw failure('Bug', `Operation ${operation} cannot give its place back: it is not its own, or work lies there`);
  }
  await trx.updateTable('operations').set({ state: 'waiting' }).where('id', '=', operation).execute();
  return await places.release(trx, { root: operation, server: row.server });
}

/** A step that is entered. */
export interface Entry {
  operation: string;
  step: number;
  /** The step, as the operator knows it. */
  label?: string;
  undo?: Undo;
  final?: boolean;
}

/**
 * Inside `fenced`, before a step acts: journals how it is taken back, and that a final one may take effect from now on.
 * Entered again it changes nothing. A committed operation journals no more, for it only goes forward.
 * @throws Superseded the operation is already going back
 */
export async function enterStep(
  trx: Trx,
  keyring: Keyring,
  { operation, step, label = '', undo, final }: Entry,
): Promise<void> {
  if (!undo && !final) return;
  const row = await locked(trx, operation);
  if (row.undoing) throw goesBack(operation);
  if (row.committed) return;
  if (undo) await undos.journal(trx, keyring, { operation, step, label }, undo);
  if (final) await trx.updateTable('operations').set({ committing: step }).where('id', '=', operation).execute();
}

/** Inside `fenced`, in the transaction of the final step: from here on the operation only goes forward. */
export async function commitOperation(trx: Trx, operation: string): Promise<void> {
  const row = await locked(trx, operation);
  if (row.undoing) throw goesBack(operation);
  await trx.updateTable('operations').set({ committed: 1 }).where('id', '=', operation).execute();
}

/**
 * Inside `fenced`: asks whether the operation has been committed and, if it has not, sees to it that it never will be.
 * A final step that still runs somewhere loses from here on, so that nothing is undone that is live.
 */
export async function turnBack(trx: Trx, operation: string): Promise<{ committed: boolean }> {
  const row = await locked(trx, operation);
  if (row.committed) return { committed: true };
  await trx.updateTable('operations').set({ undoing: 1 }).where('id', '=', operation).execute();
  return { committed: false };
}

/**
 * Inside `fenced`: a step was taken back, or could not be (`reason`). The operation goes back from here on, unless it
 * `goesOn`: then it will do its steps again. @throws Bug the operation was committed
 */
export async function markUndone(
  trx: Trx,
  {
    operation,
    step,
    reason = null,
    goesOn = false,
  }: { operation: string; step: number; reason?: string | null; goesOn?: boolean },
): Promise<void> {
  const { committed } = goesOn ? await locked(trx, operation) : await turnBack(trx, operation);
  if (committed) {
    throw failure('Bug', `Operation ${operation} was committed: its steps are not to be taken back`);
  }
  await undos.mark(trx, operation, step, reason);
}

/** The row of an operation, locked until the transaction ends; undefined where there is none. */
export async function lockedRow(trx: Trx, operation: string) {
  return await trx.selectFrom('operations').selectAll().where('id', '=', operation).forUpdate().executeTakeFirst();
}

/** The same. @throws NotFound there is none */
export async function locked(trx: Trx, operation: string) {
  const row = await lockedRow(trx, operation);
  if (!row) throw failure('NotFound', `There is no operation ${operation}`, { next: 'chom op list' });
  return row;
}

/** A child works in the place of its root, which has to be at work. Null where the root needs no place. */
async function rootPlace(trx: Trx, operation: string, root: string) {
  const place = await places.find(trx, root);
  if (place?.state === 'running') return place;
  const holder = await locked(trx, root);
  if (holder.outcome === null && holder.server === null && holder.site === null) return null;
  throw failure('Superseded', `Operation ${root}, which ${operation} is a step of, is not at work any more`, {
    holder: root,
  });
}

function goesBack(operation: string) {
  return failure('Superseded', `Operation ${operation} is going back: its steps may not act any more`);
}
