import * as batches from '../inventory/batches.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import type { NewBatch, NewChain } from './batch-schema.js';
import { callFor } from './coordinator.js';
import type { Chom } from './open.js';
import { checkForm, planBatch, type Path } from './plan-batch.js';
import { randomId } from './submit.js';

/**
 * Asks for many operations, so many at once; each is checked as by hand before the first is asked for. Returns the batch, which
 * a worker coordinates.
 * @throws InvalidInput naming each operation that cannot be asked for; Conflict one of that name is at work; TemporalUnavailable
 */
export async function runBatch(chom: Chom, wanted: NewBatch, where?: (path: Path) => string): Promise<Batch> {
  return await run(chom, 'batch', checkForm('batch', wanted, where), where);
}

/** The same of operations that run one after the other, until one fails. @throws as `runBatch` */
export async function runChain(chom: Chom, wanted: NewChain, where?: (path: Path) => string): Promise<Batch> {
  return await run(chom, 'chain', checkForm('chain', wanted, where), where);
}

async function run(
  chom: Chom,
  kind: 'batch' | 'chain',
  wanted: NewBatch | NewChain,
  where: ((path: Path) => string) | undefined,
): Promise<Batch> {
  const { tenant, inventory, keyring, config } = chom;
  const { rules, items } = await planBatch(chom, kind, wanted, where);
  const { address: cluster, namespace } = await chom.temporal();
  const id = `${kind}-${randomId(12)}`;
  // What is done to many lets what somebody waits for pass.
  const { name, taskQueue = config.taskQueue } = wanted;
  const { startsAt, priority = wanted.priority ?? (kind === 'batch' ? 'low' : 'default') } = chom.asking ?? {};
  const batch = await inventory.transaction(async (trx) => {
    await batches.add(trx, {
      id,
      kind,
      name,
      tenant,
      rules,
      priority,
      taskQueue,
      cluster,
      namespace,
      ...(startsAt !== undefined && { startsAt }),
    });
    await batchItems.add(trx, keyring, id, items);
    return await batches.byId(trx, id);
  });
  await callFor(chom, batch);
  return batch;
}
