import * as operations from '../inventory/operations.js';
import type { Operation } from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Chom } from './open.js';
import { deathOf, refuseElsewhere, type Death } from './settle.js';
import { wakeOperations } from './wake.js';

/**
 * Asks an operation to stop and to take back what it did; one that no run has begun ends at once, by its row.
 * @returns `cancelled` when it has ended, `running` when it was asked to
 * @throws NotFound; Conflict it has ended, is a step of another one, or its workflow was terminated; TemporalUnavailable
 */
export async function cancelOperation(chom: Chom, id: string): Promise<'cancelled' | 'running'> {
  const row = await operations.byId(chom.inventory.db, id, chom);
  const { outcome, parent, root } = row;
  if (outcome !== null) {
    throw failure('Conflict', `Operation ${id} has ended already: ${outcome}`, { next: `chom op show ${id}` });
  }
  if (parent !== null) {
    throw failure('Conflict', `Operation ${id} is a step of ${parent}`, { next: `chom op cancel ${root}` });
  }
  const granted = await chom.inventory.transaction(async (trx) => await operations.cancelAsked(trx, id));
  if (granted !== null) {
    // Best effort, as every such message: without Temporal nobody could begin anyway.
    if (granted.length > 0) await wakeOperations(await chom.temporal(), granted).catch(() => undefined);
    return 'cancelled';
  }
  await requestCancel(chom, row);
  return 'running';
}

async function requestCancel(chom: Chom, row: Operation): Promise<void> {
  const { id } = row;
  const temporal = await chom.temporal();
  refuseElsewhere(row, temporal);
  let death: Death | null;
  try {
    // A closed workflow takes the request, and nothing follows.
    death = await deathOf({ ...chom, temporal }, row);
    if (!death) {
      await temporal.withDeadline(Date.now() + 10_000, async () => await temporal.workflow.getHandle(id).cancel());
    }
  } catch (error) {
    const unknown = error instanceof Error && error.name === 'WorkflowNotFoundError';
    throw failure(unknown ? 'NotFound' : 'TemporalUnavailable', `Operation ${id} could not be asked to stop`, {
      cause: unknown ? 'Temporal knows no such workflow, or it has ended' : messageOf(error),
      next: unknown ? `chom op settle ${id}` : `chom op show ${id}`,
    });
  }
  if (!death) return;
  throw failure('Conflict', `Operation ${id} cannot be asked to stop: its workflow was ${death.how}`, {
    cause: 'nothing is left that could take back what it did; settling it does',
    next: `chom op settle ${id}`,
  });
}
