import type { Selectable } from 'kysely';
import { failure } from '../workflows/failures.js';
import type { Undo } from '../workflows/step.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import type { UndosTable, UndoState } from './schema.js';
import { seal } from './sealing.js';

/** An entry of an operation's journal: how its step is taken back. */
export interface JournalEntry extends Undo {
  step: number;
  label: string;
  state: UndoState;
  /** Why it could not be taken back. */
  reason: string | null;
  at: string;
}

/** Writes the entry before its step acts; a step that is entered again keeps the entry it has. */
export async function journal(
  trx: Trx,
  keyring: Keyring,
  { operation, step, label }: { operation: string; step: number; label: string },
  undo: Undo,
): Promise<void> {
  const known = await trx
    .selectFrom('undos')
    .select('step')
    .where('operation', '=', operation)
    .where('step', '=', step)
    .executeTakeFirst();
  if (known) return;
  const args = await seal(trx, keyring, Buffer.from(JSON.stringify(undo.args)), context(operation, step));
  await trx
    .insertInto('undos')
    .values({ operation, step, label, activity: undo.activity, args, state: 'journalled', reason: null, at: now() })
    .onConflict((conflict) => conflict.columns(['operation', 'step']).doNothing())
    .execute();
}

/** Its step has been taken back, or (with a reason) could not be. */
export async function mark(trx: Trx, operation: string, step: number, reason: string | null): Promise<void> {
  await trx
    .updateTable('undos')
    .set({ state: reason === null ? 'undone' : 'failed', reason, at: now() })
    .where('operation', '=', operation)
    .where('step', '=', step)
    .where('state', '<>', 'undone')
    .execute();
}

/** What is left to take back, in the order in which it must be: newest step first. */
export async function pending(db: Db, keyring: Keyring, operation: string): Promise<JournalEntry[]> {
  const entries = await list(db, keyring, operation);
  return entries.filter(({ state }) => state !== 'undone').toReversed();
}

/** The whole journal, by step. @throws Forbidden as `Keyring.open` */
export async function list(db: Db, keyring: Keyring, operation: string): Promise<JournalEntry[]> {
  const rows = await db.selectFrom('undos').selectAll().where('operation', '=', operation).orderBy('step').execute();
  return rows.map((row) => fromRow(row, keyring));
}

/** How many steps are not taken back. */
export async function remaining(db: Db, operation: string): Promise<number> {
  const rows = await db
    .selectFrom('undos')
    .select('step')
    .where('operation', '=', operation)
    .where('state', '<>', 'undone')
    .execute();
  return rows.length;
}

function fromRow(row: Selectable<UndosTable>, keyring: Keyring): JournalEntry {
  const { operation, step, label, activity, state, reason, at } = row;
  const args: unknown = JSON.parse(keyring.open(row.args, context(operation, step)).toString('utf8'));
  if (!Array.isArray(args)) throw failure('Bug', `The journal of operation ${operation} holds no arguments`);
  return { step, label, activity, args, state, reason, at };
}

/** What it is sealed for: nothing else opens it. */
export function context(operation: string, step: number): string {
  return `undo/${operation}/${step}`;
}
