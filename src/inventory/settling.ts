import { failure } from '../workflows/failures.js';
import type { OperationKind, Undo } from '../workflows/step.js';
import { type Fence, type Inventory, superseded, type Trx } from './database.js';
import type { Keyring } from './keyring.js';
import { locked, lockedRow } from './lifecycle.js';
import * as places from './places.js';
import * as undos from './undos.js';

/** An operation that died, as whoever settles it needs it. */
export interface Member {
  operation: string;
  kind: OperationKind;
  committed: boolean;
  /** What is left to take back, newest step first; nothing when it was committed. */
  undos: { step: number; label: string; undo: Undo }[];
}

/** What was taken over: the operation and those inside it, the newest first. */
export interface Taken {
  root: string;
  epoch: number;
  server: string | null;
  site: string | null;
  /** It began to work in its place, so that something of it may be at work on the server, or lie there. */
  worked: boolean;
  /** Empty: it has an outcome, and there is nothing to do. */
  members: Member[];
}

/**
 * Notes the run of an operation that was closed before it could do so itself; nobody else would ever settle what has no
 * run, nor free its place. Nothing where it has begun, or ended, meanwhile.
 */
export async function noteClosedRun(trx: Trx, operation: string, run: string): Promise<void> {
  const state = (await places.find(trx, operation))?.state ?? 'running';
  await trx
    .updateTable('operations')
    .set({ run, state })
    .where('id', '=', operation)
    .where('run', 'is', null)
    .where('outcome', 'is', null)
    .execute();
}

/**
 * Takes over an operation whose run died, and every open one inside it, in one transaction: from here on only `run` may
 * write for them, at an epoch that no host has seen. Taken over again by the same run it changes nothing.
 * @throws Superseded the operation is not as `seen` any more: somebody else was faster
 * @throws Conflict it is a step of another operation, and settled with that one
 */
export async function takeOver(
  inventory: Inventory,
  keyring: Keyring,
  { operation, seen, run }: { operation: string; seen: { run: string; epoch: number }; run: string },
): Promise<Taken> {
  return await inventory.transaction(async (trx) => {
    const row = await locked(trx, operation);
    const { root, server, site, startedAt } = row;
    if (root !== operation) throw failure('Conflict', `Operation ${operation} is a step of ${root}`, { holder: root });
    const place = await places.find(trx, operation);
    const taken = { root, server, site, worked: place?.state === 'running' && startedAt !== null };
    if (row.outcome !== null) return { ...taken, epoch: row.epoch, members: [] };
    let { epoch } = row;
    if (row.run !== run) {
      if (row.run !== seen.run || row.epoch !== seen.epoch) throw superseded({ operation, run, epoch }, row);
      epoch = place?.state === 'running' ? await places.takeOver(trx, place) : epoch + 1;
      await trx
        .updateTable('operations')
        .set({ run, epoch })
        .where('root', '=', root)
        .where('outcome', 'is', null)
        .execute();
    }
    return { ...taken, epoch, members: await members(trx, keyring, root) };
  });
}

/**
 * Takes over a child whose run died while its parent lives, in its parent's name (`parent`: who the parent's run is),
 * at an epoch that no host has seen: what the dead run still sends is refused there, too. Parent and child have it from
 * here on. Taken over again by the same run it changes nothing. Null when the child has an outcome.
 * @throws Superseded the parent's run may not write any more
 */
export async function takeOverChild(
  inventory: Inventory,
  keyring: Keyring,
  { child, parent }: { child: string; parent: Fence },
): Promise<(Member & { epoch: number }) | null> {
  const { operation, run } = parent;
  return await inventory.transaction(async (trx) => {
    const own = await lockedRow(trx, operation);
    const row = await lockedRow(trx, child);
    if (!own || !row || own.run !== run || own.outcome !== null) throw superseded(parent, own);
    const again = row.run === run && row.epoch === own.epoch;
    if (own.epoch !== parent.epoch && !again) throw superseded(parent, own);
    if (row.outcome !== null) return null;
    let { epoch } = own;
    if (!again) {
      // The place is the root's: who is inside another one itself keeps the epoch that this one knows.
      const place = own.root === operation ? await places.find(trx, operation) : null;
      if (place?.state === 'running') epoch = await places.takeOver(trx, place);
      await trx.updateTable('operations').set({ run, epoch }).where('id', 'in', [operation, child]).execute();
    }
    return { ...(await member(trx, keyring, row)), epoch };
  });
}

async function members(trx: Trx, keyring: Keyring, root: string): Promise<Member[]> {
  const rows = await trx
    .selectFrom('operations')
    .select(['id', 'kind', 'committed'])
    .where('root', '=', root)
    .where('outcome', 'is', null)
    // A child is asked for after its parent, and its id is longer.
    .orderBy('askedAt', 'desc')
    .orderBy('id', 'desc')
    .execute();
  const found: Member[] = [];
  for (const row of rows) found.push(await member(trx, keyring, row));
  return found;
}

async function member(
  trx: Trx,
  keyring: Keyring,
  { id, kind, committed }: { id: string; kind: string; committed: number },
): Promise<Member> {
  const left = committed ? [] : await undos.pending(trx, keyring, id);
  return {
    operation: id,
    kind: kind as OperationKind,
    committed: committed === 1,
    undos: left.map(({ step, label, activity, args }) => ({ step, label, undo: { activity, args } })),
  };
}
