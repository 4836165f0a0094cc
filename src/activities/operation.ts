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

/** What a failed operation leaves behind in the inventory; what a successful one does, its final step has written. */
const FAILURES: Record<OperationKind, { event: string; siteStatus?: SiteStatus; serverStatus?: ServerStatus }> = {
  'enrol-server': { event: 'ServerEnrolmentFailed', serverStatus: 'failed' },
  'remove-server': { event: 'ServerRemovalFailed' },
  'provision-site': { event: 'SiteProvisioningFailed', siteStatus: 'failed' },
  'issue-certificate': { event: 'CertificateFailed' },
  'adopt-server': { event: 'ServerAdoptionFailed' },
};

/** How an operation ended, as the workflow tells it. */
export interface Conclusion {
  outcome: 'succeeded' | 'failed' | 'cancelled';
  cause: Cause | null;
  warnings: string[];
  steps: StepProgress[];
  /** It took more than twice the expected time. */
  overdue: boolean;
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
      const { event, ...statuses } = FAILURES[step.kind];
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
            events: eventsOf(step, conclusion, event),
            ...(conclusion.owed && { obligations: [conclusion.owed] }),
            ...(unsuccessful && statuses),
          }),
      );
      await wake(concluded.granted);
      if (outcome === 'failed' && !conclusion.owed)
        log.error({ operation: step.operation, type: cause?.type }, `failed: ${cause?.message}`);
    },
  };
}

function eventsOf(step: StepContext, conclusion: Conclusion, failed: string) {
  const { outcome, cause, warnings, overdue } = conclusion;
  const events: { type: string; data: Record<string, unknown> }[] = [];
  if (overdue) events.push({ type: 'OperationOverdue', data: { kind: step.kind } });
  if (outcome !== 'failed') return events;
  if (conclusion.owed) {
    const { name, due } = conclusion.owed;
    return [...events, { type: 'OperationDeferred', data: { kind: step.kind, name, due, reason: cause?.message } }];
  }
  const data = { kind: step.kind, type: cause?.type, reason: cause?.message, ...cause?.details, warnings };
  events.push({ type: failed, data });
  events.push({ type: 'Alert', data: { severity: 'error', about: failed, reason: cause?.message } });
  return events;
}
