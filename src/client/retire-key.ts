import { changeKeyring } from '../inventory/keyring-file.js';
import * as keyIds from '../inventory/key-ids.js';
import * as operations from '../inventory/operations.js';
import { reseal } from '../inventory/reseal.js';
import { failure } from '../workflows/failures.js';
import { lookForHolders } from './key-holders.js';
import type { Chom } from './open.js';
import { isOn } from './settle.js';

/** For so long a command that was at work when the key was replaced may have gone on with it. */
const SLACK_MS = 10 * 60_000;

/**
 * Throws a master key away that was replaced. Ended anywhere and called again it goes on.
 * @throws NotFound; Conflict it is in use, or something is left that only it opens: rows, workflows that are open or that
 *   Temporal still keeps, workers that seal with it
 * @throws TemporalUnavailable nobody can say what is left there; InventoryUnavailable
 */
export async function retireKey(chom: Chom, id: string): Promise<void> {
  await refuseNeededKey(chom, id);
  const { config, inventory, keyring } = chom;
  // What a process wrote that was slow to take the new one up.
  await reseal(inventory, keyring);
  await inventory.transaction(async (trx) => await keyIds.retire(trx, id));
  await changeKeyring(config.home, (object) => ({ ...object, keys: object.keys.filter((key) => key.id !== id) }));
  keyring.refreshed(true);
}

/** What is wrong with retiring it. @throws as `retireKey` */
export async function refuseNeededKey(chom: Chom, id: string): Promise<void> {
  const { inventory, keyring } = chom;
  const known = (await keyIds.list(inventory.db)).find((one) => one.id === id);
  if (!keyring.ids.includes(id)) {
    throw failure('NotFound', `There is no key ${id} in the keyring`, { next: 'chom key list' });
  }
  if (id === keyring.current || keyring.rotating !== undefined || known?.replacedAt === null) {
    throw failure('Conflict', `Key ${id} is in use`, {
      cause: id === keyring.current ? 'it seals what is written now' : 'the change to another one is not finished',
      next: 'chom key rotate',
    });
  }
  if (known?.retiredAt) return;
  const { sealingOtherwise } = await lookForHolders(chom, keyring.current);
  if (sealingOtherwise.length > 0) {
    throw failure('Conflict', `Key ${id} is needed: ${sealingOtherwise.join(', ')} may seal with it`, {
      next: 'give it this keyring.json, or end it',
    });
  }
  // One that nobody noted sealed nothing here; by when it was replaced for histories, nobody knows.
  await refuseNeededByHistories(chom, id, known?.replacedAt ?? new Date().toISOString());
}

async function refuseNeededByHistories(chom: Chom, id: string, replacedAt: string): Promise<void> {
  const temporal = await chom.temporal();
  const until = new Date(Date.parse(replacedAt) + SLACK_MS).toISOString();
  const elsewhere = (await operations.unended(chom.inventory.db)).filter((row) => !isOn(temporal, row));
  if (elsewhere.length > 0) {
    throw failure(
      'Conflict',
      `Key ${id} may be needed: ${elsewhere.length} operations are under way on another Temporal`,
      {
        cause: elsewhere
          .slice(0, 3)
          .map((row) => row.id)
          .join(', '),
        next: 'chom op list',
      },
    );
  }
  const queue = chom.config.taskQueue.replaceAll("'", "\\'");
  const query = `TaskQueue = '${queue}' AND StartTime < '${until}'`;
  const { count } = await temporal.workflow.count(query);
  if (count === 0) return;
  const open = await temporal.workflow.count(`${query} AND ExecutionStatus = 'Running'`);
  throw failure('Conflict', `Key ${id} is needed: Temporal keeps ${count} workflows that may be sealed with it`, {
    cause: `they began before ${until}; ${open.count} of them are open, the others go when the namespace's retention is over`,
    next: 'chom key retire, once they are gone; it costs nothing to keep the key until then',
  });
}
