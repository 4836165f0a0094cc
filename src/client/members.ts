import { z } from 'zod';
import type { Members } from '../activities/coordination.js';
import type { Batch } from '../inventory/batches.js';
import * as batchItems from '../inventory/batch-items.js';
import * as operations from '../inventory/operations.js';
import { failure } from '../workflows/failures.js';
import { batchVerb } from './batch-verbs.js';
import { cancelOperation } from './cancel.js';
import type { Chom } from './open.js';
import { startAsked } from './sweep.js';
import type { Submitter } from './submit.js';

const inputSchema = z.strictObject({ target: z.string(), options: z.record(z.string(), z.unknown()) });

/** The operations of batches as a worker asks for them: by the verbs that programs use, for the batch's tenant. */
export function members(submitter: Submitter): Members {
  const { inventory, keyring } = submitter;
  return {
    async ask(batch, item) {
      const operation = item.operation ?? batchItems.operationId(item, batch.round);
      const known = await operations.find(inventory.db, operation);
      if (known) {
        // Whoever asked for it may have died before starting it.
        if (known.outcome === null && known.run === null) await startAsked(submitter, known);
        return;
      }
      const verb = batchVerb(item.verb);
      if (!verb) throw failure('InvalidInput', `${item.verb} is nothing that a batch does`);
      const { target, options } = inputSchema.parse(batchItems.openInput(item, keyring));
      await verb.ask(chomOf(submitter, batch), { target, options: verb.parse(options), operation });
    },
    async cancel(batch, operation) {
      const known = await operations.find(inventory.db, operation);
      if (known && known.outcome === null) await cancelOperation(chomOf(submitter, batch), operation);
    },
  };
}

function chomOf({ temporal, ...stores }: Submitter, { tenant, priority, taskQueue }: Batch): Chom {
  return {
    ...{ ...stores, tenant, asking: { priority }, config: { ...stores.config, taskQueue } },
    temporal: async () => temporal,
    async close() {},
  };
}
