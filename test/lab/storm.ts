import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { poll } from '../../lab/poll.js';
import * as operations from '../../src/inventory/operations.js';
import * as events from '../../src/inventory/events.js';
import type { Ran } from './rig-command.js';
import type { Rig } from './rig.js';

const ROUNDS = 8;

/** SIGKILLs the worker as soon as a step of an operation is done; fails where the operation has ended by then. */
export async function killAfter(rig: Rig, operation: string, step: string): Promise<void> {
  await poll(`${step} is done`, 120_000, async () => (await stepsDone(rig, operation)).includes(step));
  await rig.killWorker();
  expect(await operations.byId(rig.inventory.db, operation)).toMatchObject({ outcome: null });
}

/** The activities that Temporal has recorded as done, in order. */
export async function stepsDone(rig: Rig, operation: string): Promise<string[]> {
  return (await historyOf(rig, operation)).done;
}

async function historyOf(rig: Rig, operation: string): Promise<{ done: string[]; hasEnded: boolean }> {
  const handle = rig.temporal.workflow.getHandle(operation);
  const { events: recorded } = await handle.fetchHistory().catch(() => ({ events: [] }));
  const names = new Map(
    (recorded ?? []).map((event) => [
      String(event.eventId),
      event.activityTaskScheduledEventAttributes?.activityType?.name,
    ]),
  );
  const done = (recorded ?? []).flatMap(({ activityTaskCompletedEventAttributes: completed }) =>
    completed ? [names.get(String(completed.scheduledEventId)) ?? ''] : [],
  );
  return { done, hasEnded: (recorded ?? []).some((event) => event.workflowExecutionCompletedEventAttributes) };
}

/** An operation in a storm, and the steps of it after which the worker is still to be killed. */
interface Stormy {
  operation: string;
  wanted: Set<string>;
}

/** The history of an operation, as it comes: Temporal tells of each event at once, so that nobody has to look again and again. */
class Recording {
  /** The activities that are done, in order. */
  readonly done: string[] = [];
  readonly #names = new Map<string, string>();
  #token: Uint8Array | undefined;
  #reading: Promise<void> | undefined;

  constructor(
    private readonly rig: Rig,
    private readonly operation: string,
  ) {}

  /** Resolves once there is more, or after some seconds. */
  async more(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { workflowService, options } = this.rig.temporal;
    const asked = { namespace: options.namespace, execution: { workflowId: this.operation }, waitNewEvent: true };
    const token = this.#token && { nextPageToken: this.#token };
    const answer = await workflowService.getWorkflowExecutionHistory({ ...asked, ...token }).catch(() => null);
    // One inside another is not there until that comes to it; of one that has ended nothing more comes.
    if (!answer?.nextPageToken?.length) await sleep(50);
    if (!answer) return;
    if (!this.#token) this.done.length = 0;
    this.#token = answer.nextPageToken?.length ? answer.nextPageToken : undefined;
    for (const event of answer.history?.events ?? []) {
      const name = event.activityTaskScheduledEventAttributes?.activityType?.name;
      if (name) this.#names.set(String(event.eventId), name);
      const scheduled = event.activityTaskCompletedEventAttributes?.scheduledEventId;
      if (scheduled) this.done.push(this.#names.get(String(scheduled)) ?? '');
    }
  }
}

/**
 * SIGKILLs the worker each time that a wanted step of one of the operations is done, and starts the next one, until all
 * have ended. What it was killed after is wanted no more; a step that was over before it could be seen still is.
 */
async function killAfterEveryStep(rig: Rig, all: readonly Stormy[], whileDead: () => Promise<void>): Promise<void> {
  const recordings = all.map(({ operation }) => new Recording(rig, operation));
  const seen = all.map(() => 0);
  const deadline = Date.now() + 900_000;
  await rig.startWorker();
  for (;;) {
    if (Date.now() > deadline) throw new Error(`not ended: ${all.map(({ operation }) => operation).join(', ')}`);
    await Promise.race(recordings.map(async (recording) => await recording.more()));
    const further = all.filter((one, index) => {
      const { done } = recordings[index]!;
      const isNew = done.length > (seen[index] ?? 0);
      seen[index] = done.length;
      return isNew && one.wanted.delete(done.at(-1) ?? '');
    });
    if (further.length > 0) {
      await rig.killWorker();
      // Of the others too it died after the last step that was done, whether that was seen in time or not.
      for (const { operation, wanted } of all.filter((one) => !further.includes(one))) {
        const { done, hasEnded } = await historyOf(rig, operation);
        if (!hasEnded) wanted.delete(done.at(-1) ?? '');
      }
      await whileDead();
      await rig.startWorker();
      continue;
    }
    const rows = await Promise.all(all.map(async (one) => await operations.find(rig.inventory.db, one.operation)));
    if (rows.every((row, n) => row?.outcome && recordings[n]?.done.at(-1) === 'concludeOperation')) return;
  }
}

/** What a storm has made. */
export interface Weathered<Name extends string> {
  name: Name;
  round: number;
  operation: string;
}

/**
 * Does the same again on new sites until the worker was killed after each step that the calm operation of that name had:
 * a step may be over before its end is seen. Those of one round run side by side; `along` are names whose steps are all
 * among those of the others: they weather the first round. `whileDead` looks at things each time the worker is dead. Returns
 * what was made.
 */
export async function killAll<Name extends string>(
  rig: Rig,
  calm: Record<Name, string>,
  ask: (name: Name, round: number) => Promise<string>,
  along: readonly NoInfer<Name>[] = [],
  whileDead = async () => {},
): Promise<Weathered<Name>[]> {
  const names = Object.keys(calm) as Name[];
  const wanted = new Map<Name, Set<string>>();
  for (const name of names) {
    wanted.set(name, new Set(along.includes(name) ? [] : await stepsDone(rig, calm[name])));
  }
  const made: (Weathered<Name> & Stormy)[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Asked for while no worker runs, so that the first step is seen too.
    await rig.killWorker();
    for (const [name, steps] of wanted) {
      if (steps.size > 0 || round === 1) made.push({ name, round, operation: await ask(name, round), wanted: steps });
    }
    await killAfterEveryStep(
      rig,
      made.filter((one) => one.round === round),
      whileDead,
    );
    if ([...wanted.values()].every((steps) => steps.size === 0)) break;
  }
  expect([...wanted].flatMap(([name, steps]) => [...steps].map((step) => `${name}: ${step}`))).toEqual([]);
  return made;
}

/** Also of a command that found no worker: what was asked for starts when one comes. */
export function operationOf({ json, stderr }: Ran): string {
  if (!json?.operation) throw new Error(stderr);
  return json.operation;
}

/** Types of what an operation emitted. */
export async function eventsOf(rig: Rig, operation: string): Promise<string[]> {
  // So many deaths of the worker may well take an operation more than twice its expected time.
  const emitted = (await events.list(rig.inventory.db, { operation })).map(({ type }) => type);
  return emitted.filter((type) => type !== 'OperationOverdue');
}
