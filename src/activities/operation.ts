import { failureEvents, isCritical } from '../inventory/failure-events.js';
import * as operations from '../inventory/operations.js';
import type { Begun } from '../inventory/operations.js';
import type { Trx } from '../inventory/database.js';
import { whereabouts, type Whereabouts } from '../inventory/whereabouts.js';
import type { ServerStatus, SiteStatus } from '../inventory/schema.js';
import type { Cause } from '../workflows/causes.js';
import type { Owed } from '../workflows/deferral.js';
import type { StepProgress } from '../workflows/progress.js';
import type { OperationKind, StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { fence } from './workplace.js';

/** In what state a failed operation leaves what it worked on; after a successful one, its final step has written that. */
const STATUSES: Partial<Record<OperationKind, { siteStatus?: SiteStatus; serverStatus?: ServerStatus }>> = {
  'enrol-server': { serverStatus: 'failed' },
  'provision-site': { siteStatus: 'failed' },
};

/** How an operation ended, as the workflow tells it. */
export interface Conclusion {
  outcome: 'succeeded' | 'failed' | 'cancelled';
  cause: Cause | null;
  warnings: string[];
  steps: StepProgress[];
  /** It took more than twice the expected time. */
  overdue: boolean;
  /** The server refused its claim when it was settled. */
  refused?: boolean;
  /** What it owes, where it was deferred. */
  owed?: Owed;
}

/** The beginning and the end of every operation: what happens in the inventory, each in one transaction. */
export function operationActivities(deps: Deps) {
  const { inventory, keyring, log, wake } = deps;
  const begin = async (step: StepContext, options: { exclusive: boolean }) =>
    await operations.begin(inventory, { operation: step.operation, run: fence(step).run, ...options });
  return {
    /** Writes this run into the operation's row and takes its place, or gets in line. @throws Superseded, NotFound */
    async beginOperation(step: StepContext, options: { exclusive: boolean }): Promise<Begun> {
      return await begin(step, options);
    },

    /** Takes up the place that the operation was given, if it was; else who is in its way. Mostly only reads. */
    async lookForPlace(step: StepContext, options: { exclusive: boolean }): Promise<Begun | Whereabouts> {
      const where = await whereabouts(inventory.db, step.operation);
      return where ?? (await begin(step, options));
    },

    /** Gives the place back for as long as the operation only waits. */
    async leavePlace(step: StepContext): Promise<void> {
      const leave = async (trx: Trx) => await operations.leave(trx, step.operation);
      await wake(await inventory.fenced(fence(step), leave));
    },

    /** Writes the row of an operation inside this one; asking twice is asking once. */
    async askChild(step: StepContext, child: { id: string; kind: OperationKind; input: unknown }): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        const parent = await operations.byId(trx, step.operation);
        const { tenant, server, site, cluster, namespace, priority } = parent;
        const inherited = { tenant, server, site, cluster, namespace, priority, parent: parent.id };
        await operations.ask(trx, keyring, { ...child, ...inherited });
      });
    },

    /** Turns the operation back, unless it has taken effect: then it only goes forward, and this says so. */
    async turnBack(step: StepContext): Promise<{ committed: boolean }> {
      return await inventory.fenced(fence(step), async (trx) => await operations.turnBack(trx, step.operation));
    },

    /** Notes in the journal what could not be taken back, and why. */
    async noteNotUndone(step: StepContext, undo: { step: number; reason: string }): Promise<void> {
      await inventory.fenced(fence(step), async (trx) => {
        await operations.markUndone(trx, { operation: step.operation, ...undo });
      });
    },

    /** Outcome, events, statuses and the end of the place, in one transaction, once. */
    async concludeOperation(step: StepContext, conclusion: Conclusion): Promise<void> {
      const { cause, outcome } = conclusion;
      const unsuccessful = outcome !== 'succeeded';
      const concluded = await inventory.transaction(
        async (trx) =>
          await operations.conclude(trx, fence(step), {
            outcome,
            failureType: cause?.type ?? null,
            reason: cause?.message ?? null,
            details: cause?.details ?? null,
            warnings: conclusion.warnings,
            steps: conclusion.steps,
            events: eventsOf(step, conclusion),
            ...(conclusion.refused && { refused: true }),
            ...(conclusion.owed && { obligations: [conclusion.owed] }),
            ...(unsuccessful && STATUSES[step.kind]),
          }),
      );
      await wake(concluded.granted);
      if (outcome === 'failed' && !conclusion.owed) {
        const level = isCritical(step.kind) ? 'fatal' : 'error';
        log[level]({ operation: step.operation, type: cause?.type }, `failed: ${cause?.message}`);
      }
    },
  };
}

function eventsOf({ kind }: StepContext, { outcome, cause, warnings, overdue, owed }: Conclusion) {
  const late = overdue ? [{ type: 'OperationOverdue' as const, data: { kind } }] : [];
  if (outcome !== 'failed') return late;
  if (owed) {
    const { name, due } = owed;
    return [...late, { type: 'OperationDeferred' as const, data: { kind, name, due, reason: cause?.message } }];
  }
  return [...late, ...failureEvents(kind, { ...cause, reason: cause?.message, warnings })];
}
