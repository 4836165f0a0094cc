import { randomId, submit, type Submitter } from '../../src/client/submit.js';
import { callCoordinator } from '../../src/client/coordinator.js';
import * as batches from '../../src/inventory/batches.js';
import * as batchItems from '../../src/inventory/batch-items.js';
import type { BatchKind } from '../../src/inventory/schema.js';
import type { BatchRules } from '../../src/workflows/batch-plan.js';
import { failure } from '../../src/workflows/failures.js';
import type { StepContext } from '../../src/workflows/step.js';
import type { WorkflowEnvironment } from './environment.js';
import type { Script, ScriptedActivities } from './scripted.js';
import { plain } from './world.js';

/** Operations of one step each, known by their targets: what they did, and how many of them were at work at once. */
export interface BatchWorld extends ScriptedActivities {
  /** In the order in which their steps began, and ended well. */
  begun: string[];
  done: string[];
  takenBack: string[];
  /** The most that were at work at the same time, in all and on each server. */
  most: Map<string, number>;
  fails: Set<string>;
  /** Until its function is called, the step of that target waits. */
  hold(target: string): () => void;
}

/** The server of a target is what stands before its hyphen: `web1-a`. */
const serverOf = (target: string) => target.split('-')[0] ?? '';

/** From here on batches ask for scripted operations. */
export function batchWorld(chom: WorkflowEnvironment): BatchWorld {
  const held = new Map<string, Promise<void>>();
  const atWork = new Map<string, number>();
  const world: BatchWorld = {
    ...{ begun: [], done: [], takenBack: [], most: new Map(), fails: new Set() },
    async act(_: StepContext, name: string) {
      world.begun.push(name);
      for (const where of ['', serverOf(name)]) count(where, 1);
      await held.get(name);
      for (const where of ['', serverOf(name)]) count(where, -1);
      if (world.fails.has(name)) throw failure('Conflict', `${name} fails`);
      world.done.push(name);
      return name;
    },
    async takeBack(_: StepContext, name: string) {
      world.takenBack.push(name);
    },
    async commit() {},
    hold(target) {
      let release = () => {};
      held.set(target, new Promise((resolve) => (release = resolve)));
      return release;
    },
  };
  const count = (where: string, by: number) => {
    const now = (atWork.get(where) ?? 0) + by;
    atWork.set(where, now);
    world.most.set(where, Math.max(now, world.most.get(where) ?? 0));
  };
  chom.members.ask = async (batch, item) => await askScripted(chom, batch, item);
  return world;
}

/** Asks for an item of a batch as for an operation of one step. */
export async function askScripted(
  submitter: Submitter,
  { tenant, priority }: Pick<batches.Batch, 'tenant' | 'priority'>,
  { target, operation }: Pick<batchItems.Item, 'target' | 'operation'>,
): Promise<void> {
  if (target.includes('refused')) throw failure('Conflict', `${target} is refused`);
  const input: Script = { steps: [plain(target)], bugBefore: null };
  const where = { tenant, priority, server: serverOf(target), serverName: 'web', site: target };
  await submit(submitter, { kind: 'provision-site', input, summary: 'scripted', ...where }, operation ?? '');
}

const RULES: BatchRules = { concurrency: 10, perServer: null, canary: null, failures: null };

interface Wanted {
  kind?: BatchKind;
  rules?: Partial<BatchRules>;
  items: readonly string[];
  then?: readonly string[];
  catch?: readonly string[];
  finally?: readonly string[];
}

/** Writes a batch down and has it coordinated, as `runBatch` does behind its checks. Returns its id. */
export async function askBatch(chom: WorkflowEnvironment, { kind = 'batch', rules, items, ...handlers }: Wanted) {
  const id = `${kind}-${randomId(12)}`;
  const phases = Object.entries({ item: items, ...handlers }) as [batchItems.NewItem['phase'], readonly string[]][];
  const batch = await chom.inventory.transaction(async (trx) => {
    await batches.add(trx, {
      ...{ id, kind, name: id, tenant: 'default', priority: 'low', taskQueue: chom.config.taskQueue },
      ...{ cluster: chom.temporal.address, namespace: chom.temporal.namespace, rules: { ...RULES, ...rules } },
    });
    const all = phases.flatMap(([phase, targets]) =>
      targets.map((target, index) => {
        const server = serverOf(target);
        return { phase, ordinal: index + 1, verb: 'scripted', input: { target, options: {} }, target, server };
      }),
    );
    await batchItems.add(trx, chom.keyring, id, all);
    return await batches.byId(trx, id);
  });
  await callCoordinator(chom, batch);
  return id;
}

/** Each of a batch's operations with its state. */
export async function statesOf({ inventory }: WorkflowEnvironment, id: string): Promise<Record<string, string>> {
  const items = await batchItems.list(inventory.db, id);
  return Object.fromEntries(items.map(({ target, state }) => [target, state]));
}
