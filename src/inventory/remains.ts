import { failure } from '../workflows/failures.js';
import { UNDO } from '../workflows/plans.js';
import type { Remnant, Undo } from '../workflows/step.js';
import { now } from './clock.js';
import type { Db, Trx } from './database.js';
import type { Keyring } from './keyring.js';
import { locked } from './lifecycle.js';
import * as obligations from './obligations.js';
import * as sites from './sites.js';
import * as tries from './tries.js';
import * as undos from './undos.js';

/** A server that did not answer the tries of an undo will hardly do so at once. */
const FIRST_TRY_MS = 300_000;

/** What is left of an operation on its server, a step each. */
export interface Remains extends Remnant {
  label: string;
  undo: Undo;
}

/** In the transaction that writes the outcome of an operation that went back: what it could not take back, it owes. */
export async function owe(
  trx: Trx,
  { id, server, site }: { id: string; server: string | null; site: string | null },
): Promise<void> {
  if ((await undos.remaining(trx, id)) === 0) return;
  const due = new Date(Date.parse(now()) + FIRST_TRY_MS).toISOString();
  await obligations.add(trx, { operation: id, name: UNDO, targets: { server, site }, due });
}

/**
 * What an operation owes is due at `at` (ISO-8601 UTC); owed again, where it was given up and lies there still: on the
 * server of a site that failed. On a live one another operation may have built on it.
 */
export async function hasten(trx: Trx, operation: string, at: string): Promise<void> {
  const { site } = await locked(trx, operation);
  const given = site !== null && (await sites.isFailed(trx, site)) && (await undos.remaining(trx, operation)) > 0;
  if (given) await obligations.reopen(trx, { operation, name: UNDO });
  await obligations.hasten(trx, { operation, name: UNDO }, at);
}

/** What the operation `id` is to take back, the newest step first; nothing where that is owed no more. */
export async function ofTry(db: Db, keyring: Keyring, id: string): Promise<Remains[]> {
  const { operation } = owing(id);
  if (await tries.isVoid(db, id)) return [];
  const { root } = await db
    .selectFrom('operations')
    .select('root')
    .where('id', '=', operation)
    .executeTakeFirstOrThrow();
  const left = await undos.pending(db, keyring, operation);
  return left.map(({ step, label, activity, args }) => ({ operation, root, step, label, undo: { activity, args } }));
}

/**
 * Inside `fenced`: the operation `id` has taken back a step. With the last one the names of a site that failed are free.
 * @throws Forbidden it is no step of what that operation is a try of
 */
export async function takenBack(trx: Trx, id: string, remnant: Pick<Remnant, 'operation' | 'step'>): Promise<void> {
  const { operation } = owing(id);
  if (remnant.operation !== operation) throw foreign(id);
  const { site } = await locked(trx, operation);
  await undos.mark(trx, operation, remnant.step, null);
  if (site === null || (await undos.remaining(trx, operation)) > 0) return;
  await sites.freeNamesOfFailed(trx, { site, createdBy: operation });
}

function owing(id: string): { operation: string } {
  const tried = tries.triedBy(id);
  if (tried?.name !== UNDO) throw foreign(id);
  return tried;
}

function foreign(id: string) {
  return failure('Forbidden', `Operation ${id} is no try of what another one has to take back`);
}
