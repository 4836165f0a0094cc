import { Context } from '@temporalio/activity';
import { randomId, type Request } from '../../src/client/submit.js';
import * as operations from '../../src/inventory/operations.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { OperationKind, StepContext } from '../../src/workflows/step.js';
import type { WorkflowEnvironment } from './environment.js';
import type { Script, ScriptedActivities } from './scripted.js';

/** What the steps did, in order, and how each try of a step ends. */
export interface World extends ScriptedActivities {
  done: string[];
  takenBack: string[];
  tries: Record<string, number>;
}

/** Steps of which `ends` says how each try ends; null is well, `cancel` has the operation cancelled meanwhile. */
export function world(
  chom: Pick<WorkflowEnvironment, 'inventory'>,
  ends: (name: string, attempt: number) => FailureType | 'cancel' | null,
  cancel = async () => {},
): World {
  const self: World = {
    done: [],
    takenBack: [],
    tries: {},
    async act(step: StepContext, name: string) {
      self.tries[name] = (self.tries[name] ?? 0) + 1;
      const end = ends(name, self.tries[name]);
      if (end === 'cancel') await cancelled(cancel);
      else if (end) throw failure(end, `${name} fails`);
      self.done.push(name);
      return name;
    },
    async takeBack(_step: StepContext, name: string) {
      self.takenBack.push(name);
    },
    async commit(step: StepContext, name: string) {
      self.tries[name] = (self.tries[name] ?? 0) + 1;
      const end = ends(name, self.tries[name]);
      if (end && end !== 'cancel') throw failure(end, `${name} fails`);
      const { operation, epoch } = step;
      const run = (await operations.byId(chom.inventory.db, operation)).run ?? '';
      await chom.inventory.fenced({ operation, run, epoch }, (trx) => operations.commitOperation(trx, operation));
      self.done.push(name);
    },
  };
  return self;
}

/**
 * Has the operation cancelled and works on until that arrives, as a job on a host does. (The time-skipping server
 * cannot cancel an activity that ends in the same moment; a real one can.)
 */
async function cancelled(cancel: () => Promise<void>): Promise<void> {
  await cancel();
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 20);
  await context.cancelled.finally(() => clearInterval(beat));
}

/** A step of a script: one with an undo, unless said otherwise. */
export const plain = (name: string, more: Partial<Script['steps'][number]> = {}) => ({
  ...{ name, undo: true, final: false, when: true },
  ...more,
});

/** Asks for the scripted operation on a server of its own. */
export function request(
  steps: Script['steps'],
  bugBefore: number | null = null,
  kind: OperationKind = 'provision-site',
): Request {
  const input: Script = { steps, bugBefore };
  return {
    kind,
    input,
    summary: 'scripted',
    tenant: 'default',
    server: randomId(12),
    serverName: 'web',
  };
}
