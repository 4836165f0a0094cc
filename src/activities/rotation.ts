import { addKey, expectKey, removeKeys } from '../host/authorized-keys.js';
import { fingerprintOfLine, makeSshKey } from '../host/ssh-key.js';
import * as credentials from '../inventory/credentials.js';
import type { Trx } from '../inventory/database.js';
import * as events from '../inventory/events.js';
import * as obligations from '../inventory/obligations.js';
import * as operations from '../inventory/operations.js';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import { OLD_KEY, type Replaced, type RotationPlan } from '../workflows/rotation-plan.js';
import { workOf, type StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { expectRoot, logInAfresh, publicLine } from './key-proof.js';
import { layDownForRecovery, removeRecoveryCopies } from './recovery-copy.js';
import { fence, workplace } from './workplace.js';

/** After an emergency that could not remove the old key itself: by then it has ended, however it did. */
const EMERGENCY_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;

/** The steps by which a server gets another key of CHOM's. What they hand on are ids of credentials, never a key. */
export function rotationActivities(deps: Deps) {
  const { hosts, inventory, keyring } = deps;

  return {
    /**
     * The credential that gets in now, and that its line is where the new one's is going to be.
     * @throws Conflict the server is not enrolled; NotFound it has no key of CHOM's; UnsupportedHost its authorized_keys
     *   is not one that CHOM can change, or sshd does not go by it
     */
    async findServerKey(step: StepContext, plan: RotationPlan): Promise<string> {
      const { user, status } = await servers.byId(inventory.db, plan.server);
      const current = await credentials.current(inventory.db, plan.server, 'server-key');
      if (status !== 'active' || !current) {
        throw failure('Conflict', `Server ${plan.name} is not enrolled: it has no key to be replaced`, {
          server: plan.name,
          next: `chom server add ${plan.name}`,
        });
      }
      const place = await workplace(deps, step, plan.server, 'server');
      await ask(place, 'Looking for the key in use', expectKey(user, await publicLine(inventory.db, current.id)));
      return current.id;
    },

    /** Kept, sealed, before it is used; a copy that only the recovery key opens is on the server. */
    async makeNextServerKey(step: StepContext, plan: RotationPlan): Promise<{ warnings: string[] }> {
      const id = nextKey(step, plan);
      if (!(await credentials.find(inventory.db, id))) {
        const key = makeSshKey(`chom-${plan.server}`);
        await inventory.fenced(fence(step), async (trx) => {
          const kept = { id, server: plan.server, kind: 'server-key' as const, state: 'next' as const };
          await credentials.put(trx, keyring, { ...kept, public: key.public, secret: key.private });
        });
      }
      // Read back: an attempt before this one may have kept another.
      const credential = await credentials.byId(inventory.db, id);
      const place = await workplace(deps, step, plan.server, 'server');
      return { warnings: await layDownForRecovery(deps, place, credential) };
    },

    /** The undo of all before the new key is the current one: its line goes, then its copy, then the key. */
    async withdrawNextServerKey(step: StepContext, plan: RotationPlan): Promise<void> {
      const id = nextKey(step, plan);
      const next = await credentials.find(inventory.db, id);
      // Enrolled again since, the server may be reached by it.
      if (next?.state !== 'next') return;
      const { user } = await servers.byId(inventory.db, plan.server);
      const current = await credentials.current(inventory.db, plan.server, 'server-key');
      const kept = current && (await publicLine(inventory.db, current.id));
      const place = await workplace(deps, step, plan.server, 'server');
      const line = await publicLine(inventory.db, id);
      await change(place, 'withdraw', 'Withdrawing the new key', removeKeys(user, [line], kept));
      await change(place, 'recovery-copy', 'Removing its recovery copy', { act: removeRecoveryCopies([id]) });
      await inventory.fenced(fence(step), async (trx) => {
        if ((await credentials.find(trx, id))?.state === 'next') await credentials.remove(trx, id);
      });
    },

    async addNextServerKey(step: StepContext, plan: RotationPlan, old: string): Promise<void> {
      const { user } = await servers.byId(inventory.db, plan.server);
      const line = await publicLine(inventory.db, nextKey(step, plan));
      const place = await workplace(deps, step, plan.server, 'server');
      await change(place, 'add-key', 'Adding the new key', addKey(user, line, await publicLine(inventory.db, old)));
    },

    /** @throws LoginRefused and others of a login */
    async proveNextServerKey(step: StepContext, plan: RotationPlan): Promise<void> {
      await logInAfresh(deps, plan, nextKey(step, plan));
    },

    /**
     * From here on it is the key that gets in, and the removal of the old one is owed. Returns the ids of all keys that
     * were replaced and are kept still. @throws Conflict another key is the current one by now
     */
    async adoptNextServerKey(step: StepContext, plan: RotationPlan, old: string): Promise<string[]> {
      const { operation } = step;
      const { server, tenant, name, emergency, overlapHours } = plan;
      const by = nextKey(step, plan);
      return await inventory.fenced(fence(step), async (trx) => {
        const current = await credentials.current(trx, server, 'server-key');
        if (current?.id !== old && current?.id !== by) {
          throw failure('Conflict', `Server ${name} has another key by now than the one that was to be replaced`, {
            server: name,
            next: `chom secrets rotate --server ${name}`,
          });
        }
        await credentials.makeCurrent(trx, by);
        const due = new Date(Date.now() + (emergency ? EMERGENCY_MS : overlapHours * HOUR_MS)).toISOString();
        const targets: Replaced = { old, by, emergency };
        await oweAgain(trx, server, due);
        await obligations.add(trx, { operation, name: OLD_KEY, targets: { ...targets }, due });
        await operations.commitOperation(trx, operation);
        const keys = {
          key: fingerprintOfLine(await publicLine(trx, by)),
          replaced: fingerprintOfLine(await publicLine(trx, old)),
        };
        const data = { name, ...keys, emergency, oldKeyUntil: emergency ? null : due };
        await events.emit(trx, { operation, type: 'CredentialsRotated', tenant, server, site: null, data });
        const all = await credentials.list(trx, server);
        return all.filter(({ kind, state }) => kind === 'server-key' && state === 'retired').map(({ id }) => id);
      });
    },

    /** As every operation from here on gets in. @throws those of a login */
    async proveServerKeyInUse(_step: StepContext, plan: RotationPlan): Promise<void> {
      await expectRoot(await hosts.for(plan.server), plan.name);
    },
  };
}

/** Keys that were replaced and that nobody was going to remove any more, for somebody had cancelled that, go with this one. */
async function oweAgain(trx: Trx, server: string, due: string): Promise<void> {
  const kept = (await credentials.list(trx, server)).filter(({ state }) => state === 'retired').map(({ id }) => id);
  for (const owed of await obligations.voided(trx, { server, name: OLD_KEY })) {
    if (!kept.includes(String(owed.targets['old']))) continue;
    await obligations.reopen(trx, owed);
    await obligations.postpone(trx, owed, due);
  }
}

/** By the operation that makes it, so that whoever takes that one back finds it. */
function nextKey(step: StepContext, { server }: RotationPlan): string {
  return `server-key/${server}/${workOf(step)}`;
}
