import { Context } from '@temporalio/activity';
import { authorizeKey } from '../host/authorized-keys.js';
import { makeSshKey } from '../host/ssh-key.js';
import * as credentials from '../inventory/credentials.js';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import type { ServerPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { logInAfresh, publicLine } from './key-proof.js';
import { layDownForRecovery } from './recovery-copy.js';
import { fence, workplace } from './workplace.js';

/** The host key that a server showed, and whether somebody has said already that it is the right one. */
export interface OfferedHostKey {
  hostKey: string;
  fingerprint: string;
  confirmed: boolean;
}

/** The steps by which CHOM comes to a server: its host key, and a login key of CHOM's own. */
export function serverAccessActivities(deps: Deps) {
  const { hosts, inventory, keyring } = deps;

  return {
    /**
     * @throws HostKeyMismatch it is not the one that was given, or that is pinned; Unreachable, Penalised
     * @throws Conflict the server was given another address before this operation had its place
     */
    async learnHostKey(_step: StepContext, plan: ServerPlan): Promise<OfferedHostKey> {
      const known = await servers.byId(inventory.db, plan.server);
      refuseMoved(plan, known);
      const { hostKeyFingerprint } = known;
      const signal = Context.current().cancellationSignal;
      const { key, fingerprint } = await hosts.offeredHostKey(plan.address, plan.port, signal);
      const expected = hostKeyFingerprint ?? plan.hostKey;
      if (expected === null) return { hostKey: key, fingerprint, confirmed: false };
      if (fingerprint === expected && (plan.hostKey === null || plan.hostKey === expected)) {
        return { hostKey: key, fingerprint, confirmed: true };
      }
      const [type = ''] = key.split(' ');
      throw failure(
        'HostKeyMismatch',
        `${plan.name} shows host key ${fingerprint} (${type}), expected was ${expected}`,
        {
          server: plan.name,
          cause: 'Another machine answers at that address, or the fingerprint is of a key of another type',
          next: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub (on ${plan.name}, at its console)`,
        },
      );
    },

    /** From here on only this key is accepted. */
    async pinHostKey(step: StepContext, plan: ServerPlan, offered: OfferedHostKey): Promise<void> {
      const { hostKey, fingerprint } = offered;
      await inventory.fenced(fence(step), async (trx) => {
        await servers.pinHostKey(trx, plan.server, { hostKey, fingerprint });
      });
    },

    /**
     * Makes CHOM's own key for the server, or finds the one that an earlier enrolment made. A copy that only the
     * recovery key opens is on the server before the key is used. Returns the credential's id.
     */
    async makeServerKey(step: StepContext, plan: ServerPlan): Promise<{ credential: string; warnings: string[] }> {
      const known =
        (await credentials.current(inventory.db, plan.server, 'server-key')) ??
        (await credentials.list(inventory.db, plan.server)).findLast(
          ({ kind, state }) => kind === 'server-key' && state === 'next',
        );
      const id = known?.id ?? `server-key/${plan.server}/${step.operation}`;
      if (!known) {
        const key = makeSshKey(`chom-${plan.server}`);
        await inventory.fenced(fence(step), async (trx) => {
          const kept = { id, server: plan.server, kind: 'server-key' as const, state: 'next' as const };
          await credentials.put(trx, keyring, { ...kept, public: key.public, secret: key.private });
        });
      }
      // Read back: an attempt before this one may have kept another.
      const credential = await credentials.byId(inventory.db, id);
      const place = await workplace(deps, step, plan.server, 'server');
      return { credential: id, warnings: await layDownForRecovery(deps, place, credential) };
    },

    async installServerKey(step: StepContext, plan: ServerPlan, id: string): Promise<void> {
      const line = await publicLine(inventory.db, id);
      const place = await workplace(deps, step, plan.server, 'server');
      await change(place, 'install-key', 'Installing the key', authorizeKey(plan.user, line));
    },

    /** Logs in with the new key over a new connection; only then is it the one in use, and the given one forgotten. */
    async proveServerKey(step: StepContext, plan: ServerPlan, id: string): Promise<void> {
      await logInAfresh(deps, plan, id);
      await inventory.fenced(fence(step), async (trx) => {
        await credentials.makeCurrent(trx, id);
        for (const { id: given, kind } of await credentials.list(trx, plan.server)) {
          if (kind === 'bootstrap') await credentials.remove(trx, given);
        }
      });
    },
  };
}

/** Whoever asked at the same time may have said otherwise; once there is a place, nobody can (`servers.add`). */
function refuseMoved(plan: ServerPlan, known: servers.Server): void {
  const { address, port, user } = known;
  if (plan.address === address && plan.port === port && plan.user === user) return;
  const asked = `${plan.user}@${plan.address}:${plan.port}`;
  throw failure('Conflict', `Server ${plan.name} is no longer to be enrolled as ${asked}`, {
    server: plan.name,
    cause: `Somebody has asked for it as ${user}@${address}:${port} since`,
    next: `chom server show ${plan.name}`,
  });
}
