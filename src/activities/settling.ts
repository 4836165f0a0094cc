import * as events from '../inventory/events.js';
import * as operations from '../inventory/operations.js';
import type { Member, Taken } from '../inventory/operations.js';
import * as remains from '../inventory/remains.js';
import type { Remains } from '../inventory/remains.js';
import type { UndoPlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

export type { Member } from '../inventory/operations.js';

/** How an operation whose workflow died is brought to its end by another one. */
export function settlingActivities(deps: Deps) {
  const { inventory, keyring, hosts, controller } = deps;
  return {
    /** @throws Superseded somebody else was faster */
    async takeOverOperation(step: StepContext, seen: { run: string; epoch: number }): Promise<Taken> {
      const { operation, run } = fence(step);
      return await operations.takeOver(inventory, keyring, { operation, seen, run });
    },

    /**
     * Takes over a child whose run died, at a raised epoch, which is this operation's from here on. Null when the child has
     * recorded its own end.
     */
    async takeOverChild(step: StepContext, child: string): Promise<(Member & { epoch: number }) | null> {
      return await operations.takeOverChild(inventory, keyring, { child, parent: fence(step) });
    },

    /** From here on the server refuses what the dead run still sends, and nothing of it runs there. */
    async silenceServer(step: StepContext): Promise<void> {
      const { server, site } = await operations.byId(inventory.db, step.operation);
      if (server === null) return;
      const scope = site === null ? 'server' : `site/${site}`;
      const claim = { controller, scope, root: step.root, epoch: step.epoch };
      const { cancellationSignal: signal } = Context.current();
      try {
        await (await hosts.for(server)).silence(claim, { signal });
      } catch (error) {
        // A server whose key nobody has confirmed has never been logged in to; one that was removed cannot be any more.
        if (error instanceof ApplicationFailure && ['HostKeyUnconfirmed', 'NotFound'].includes(error.type ?? ''))
          return;
        throw error;
      }
    },

    /** What this operation is to take back of another one, the newest step first; nothing where that is owed no more. */
    async lookWhatIsLeft(step: StepContext, _plan: UndoPlan): Promise<Remains[]> {
      return await remains.ofTry(inventory.db, keyring, step.operation);
    },

    /** Tells, once, that an operation cannot be settled yet, and why. */
    async noteUnsettled(step: StepContext, reason: string): Promise<void> {
      const { operation, kind } = step;
      await inventory.fenced(fence(step), async (trx) => {
        const { tenant, server, site } = await operations.byId(trx, operation);
        const data = { severity: 'error', kind, reason, next: `chom op settle ${operation} --abandon` };
        await events.emit(trx, { operation, type: 'OperationUnsettled', tenant, server, site, data });
      });
      deps.log.error({ operation, reason }, 'cannot be settled yet');
    },
  };
}
