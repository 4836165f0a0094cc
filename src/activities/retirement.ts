import { addKey, removeKeys } from '../host/authorized-keys.js';
import { join } from '../host/shell.js';
import { fingerprintOfLine } from '../host/ssh-key.js';
import * as credentials from '../inventory/credentials.js';
import type { Trx } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import * as tries from '../inventory/tries.js';
import { failure } from '../workflows/failures.js';
import { OLD_KEY, type Replaced, type RetirementPlan } from '../workflows/rotation-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { logInAfresh, publicLine, seeRefused } from './key-proof.js';
import { removeRecoveryCopies } from './recovery-copy.js';
import { fence, workplace } from './workplace.js';

/** The steps by which keys go that were replaced. `old`: ids of credentials. */
export function retirementActivities(deps: Deps) {
  const { inventory } = deps;

  async function currentKey({ server, name }: RetirementPlan): Promise<credentials.Credential> {
    const current = await credentials.current(inventory.db, server, 'server-key');
    if (current) return current;
    throw failure('NotFound', `There is no key for server ${name}`, { server: name, next: `chom server add ${name}` });
  }

  async function linesOf(ids: readonly string[]): Promise<string[]> {
    return await Promise.all(ids.map(async (id) => await publicLine(inventory.db, id)));
  }

  /** Their secrets go with them; what was emitted says which keys they were. */
  async function forget(trx: Trx, step: StepContext, plan: RetirementPlan, old: readonly string[]): Promise<void> {
    const { server, tenant, name } = plan;
    const gone: string[] = [];
    for (const id of old) {
      const found = await credentials.find(trx, id);
      if (found?.state !== 'retired' || found.server !== server) continue;
      gone.push(fingerprintOfLine(found.public ?? ''));
      await credentials.remove(trx, id);
    }
    const { operation } = step;
    const data = { name, keys: gone };
    await events.emit(trx, { operation, type: 'CredentialsRetired', tenant, server, site: null, data });
  }

  return {
    /** The key that is to go; null where that is owed no more. */
    async lookForOldServerKey(step: StepContext, { server }: RetirementPlan): Promise<Replaced | null> {
      const tried = tries.triedBy(step.operation);
      if (tried?.name !== OLD_KEY) throw foreign(step.operation);
      const owed = await obligations.find(inventory.db, tried);
      if (owed?.state !== 'open') return null;
      const replaced = owed.targets as unknown as Replaced;
      const old = await credentials.find(inventory.db, replaced.old);
      if (!old) return null;
      if (old.server !== server || old.state !== 'retired') throw foreign(step.operation);
      return replaced;
    },

    /** @throws NotBackedUp the loss of the controller would be the loss of the only key that gets in from then on */
    async expectServerKeyBackedUp(
      _step: StepContext,
      plan: RetirementPlan,
      { by, emergency }: Replaced,
    ): Promise<void> {
      if (emergency) return;
      const current = await currentKey(plan);
      const kept = current.backedUpAt ?? (await credentials.find(inventory.db, by))?.backedUpAt ?? null;
      if (kept !== null) return;
      throw failure('NotBackedUp', `No backup of CHOM itself holds the new key of ${plan.name}: the old one stays`, {
        server: plan.name,
        cause:
          'None was made since it was rotated, or only without the keyring; with the controller both would be lost',
        next: 'chom backup database --encrypt --upload STORAGE',
      });
    },

    /** @throws those of a login */
    async proveServerKeyAfresh(_step: StepContext, plan: RetirementPlan): Promise<void> {
      await logInAfresh(deps, plan, (await currentKey(plan)).id);
    },

    /** @throws Conflict the current key is not in authorized_keys */
    async removeOldServerKeys(step: StepContext, plan: RetirementPlan, old: string[]): Promise<void> {
      const { user } = await servers.byId(inventory.db, plan.server);
      const kept = await publicLine(inventory.db, (await currentKey(plan)).id);
      const { check, act } = removeKeys(user, await linesOf(old), kept);
      const place = await workplace(deps, step, plan.server, 'server');
      const all = join([act, removeRecoveryCopies(old)], ' && ');
      await change(place, 'remove-keys', 'Removing the old key', { check, act: all });
    },

    /** Nobody knows whether the current key gets in, so the old one does again. */
    async putOldServerKeysBack(step: StepContext, plan: RetirementPlan, old: string[]): Promise<void> {
      const { user } = await servers.byId(inventory.db, plan.server);
      const current = await publicLine(inventory.db, (await currentKey(plan)).id);
      const place = await workplace(deps, step, plan.server, 'server');
      for (const [n, line] of (await linesOf(old)).entries()) {
        await change(place, `put-back-${n}`, 'Putting the old key back', addKey(user, line, current));
      }
    },

    /** First that the current one gets in, on a new connection. @throws ProbeFailed one still gets in; those of a login */
    async seeOldServerKeysRefused(_step: StepContext, plan: RetirementPlan, old: string[]): Promise<void> {
      await logInAfresh(deps, plan, (await currentKey(plan)).id);
      for (const id of old) await seeRefused(deps, plan, id);
    },

    /** After an emergency. What was owed for any of them is met. */
    async forgetOldServerKeys(step: StepContext, plan: RetirementPlan, old: string[]): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        await forget(trx, step, plan, old);
        await obligations.close(trx, { operation: step.operation, name: OLD_KEY }, 'done');
        await obligations.cancel(trx, { server: plan.server, name: OLD_KEY });
      });
    },

    async recordRetirement(step: StepContext, plan: RetirementPlan, old: string[]): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        await forget(trx, step, plan, old);
        await operations.commitOperation(trx, step.operation);
      });
    },
  };
}

function foreign(operation: string) {
  return failure('Forbidden', `Operation ${operation} may not act: it is no try of removing a key that was replaced`, {
    cause: 'The order was not made by CHOM for this operation, or a defect in CHOM',
    next: `chom op show ${operation}`,
  });
}
