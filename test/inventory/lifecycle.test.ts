import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Fence } from '../../src/inventory/database.js';
import * as events from '../../src/inventory/events.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import type { Outcome } from '../../src/inventory/schema.js';
import * as undos from '../../src/inventory/undos.js';
import { failureOf, onBothDatabases } from './databases.js';
import { provision } from './records.js';

/** What a worker, a zombie of it or a run made by a reset may do, in any order and as often as it likes. */
type Act =
  | { do: 'begin' }
  | { do: 'enter'; step: number; undo: boolean; final: boolean }
  | { do: 'commit' }
  | { do: 'turn back' }
  | { do: 'undo'; step: number; fails: boolean }
  | { do: 'conclude'; outcome: Outcome };

const step = fc.integer({ min: 1, max: 5 });
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'begin' }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('enter' as const), step, undo: fc.boolean(), final: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'commit' }) },
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'turn back' }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('undo' as const), step, fails: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('conclude' as const),
      outcome: fc.constantFrom<Outcome>('succeeded', 'failed', 'cancelled'),
    }),
  },
);
/** Mostly by the right run. */
const by = fc.constantFrom('run', 'run', 'run', 'run', 'reset');

onBothDatabases('Whatever happens to an operation', (database) => {
  let made = 0;

  test('it ends once, never both goes forward and back, and undoes in reverse', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(act, by), { minLength: 1, maxLength: 25 }), async (acts) => {
        made += 1;
        await live(`p${made}`, acts);
      }),
      { numRuns: 100 },
    );
  });

  async function live(id: string, acts: readonly [Act, string][]): Promise<void> {
    const { inventory, keyring } = database;
    await inventory.transaction((trx) => operations.ask(trx, keyring, provision(id)));
    const model = { run: '', committed: false, undoing: false, outcome: null as Outcome | null };
    const journal = new Map<number, 'journalled' | 'undone' | 'failed'>();
    for (const [what, run] of [[{ do: 'begin' }, 'run'] as [Act, string], ...acts]) {
      const refused = await attempt(id, what, { operation: id, run, epoch: 1 });
      const mayAct = run === 'run' && model.outcome === null;
      if (what.do === 'conclude' && run === 'run' && model.outcome !== null) expect(refused).toBeNull();
      else if (!mayAct) expect(refused).toBe('Superseded');
      else expect(refused).toBe(foretell(what, model, journal));
    }
    const row = await operations.byId(inventory.db, id);
    expect(row).toMatchObject({ outcome: model.outcome, committed: model.committed, undoing: model.undoing });
    expect(row.committed && row.undoing).toBe(false);
    const left = await undos.pending(inventory.db, keyring, id);
    const expected = [...journal].filter(([, state]) => state !== 'undone').map(([entry]) => entry);
    expect(left.map((entry) => entry.step)).toEqual(expected.toSorted((a, b) => b - a));
    const emitted = await events.list(inventory.db, { operation: id });
    expect(emitted.map(({ type }) => type)).toEqual(model.outcome === null ? [] : [`Ended: ${model.outcome}`]);
    expect(await places.find(inventory.db, id)).toEqual(model.outcome === null ? expect.anything() : null);
  }

  /** Does it; the type of the failure, or null. */
  async function attempt(id: string, what: Act, fence: Fence): Promise<string | null> {
    const { inventory, keyring } = database;
    const acts: Record<Act['do'], () => Promise<unknown>> = {
      begin: () => operations.begin(inventory, { operation: id, run: fence.run }),
      enter: () =>
        inventory.fenced(fence, async (trx) => {
          if (what.do !== 'enter') return;
          const undo = what.undo ? { undo: { activity: 'undo', args: [what.step] } } : {};
          await operations.enterStep(trx, keyring, { operation: id, step: what.step, final: what.final, ...undo });
        }),
      commit: () => inventory.fenced(fence, (trx) => operations.commitOperation(trx, id)),
      'turn back': () => inventory.fenced(fence, (trx) => operations.turnBack(trx, id)),
      undo: () =>
        inventory.fenced(fence, async (trx) => {
          if (what.do !== 'undo') return;
          const reason = what.fails ? 'away' : null;
          await operations.markUndone(trx, { operation: id, step: what.step, reason });
        }),
      conclude: () =>
        inventory.transaction(async (trx) => {
          if (what.do !== 'conclude') return;
          const type = `Ended: ${what.outcome}`;
          await operations.conclude(trx, fence, { outcome: what.outcome, events: [{ type, data: {} }] });
        }),
    };
    let refused: string | null = null;
    await acts[what.do]().catch(async (error: unknown) => {
      refused = (await failureOf(Promise.reject(error))).type;
    });
    return refused;
  }
});

/** What the model says of an act by the right run, before the end; it changes the model. */
function foretell(
  what: Act,
  model: { committed: boolean; undoing: boolean; outcome: Outcome | null },
  journal: Map<number, 'journalled' | 'undone' | 'failed'>,
): string | null {
  switch (what.do) {
    case 'begin':
      return null;
    case 'enter':
      if (!what.undo && !what.final) return null;
      if (model.undoing) return 'Superseded';
      if (what.undo && !model.committed && !journal.has(what.step)) journal.set(what.step, 'journalled');
      return null;
    case 'commit':
      if (model.undoing) return 'Superseded';
      model.committed = true;
      return null;
    case 'turn back':
      if (!model.committed) model.undoing = true;
      return null;
    case 'undo':
      if (model.committed) return 'Bug';
      model.undoing = true;
      if (journal.has(what.step) && journal.get(what.step) !== 'undone') {
        journal.set(what.step, what.fails ? 'failed' : 'undone');
      }
      return null;
    case 'conclude':
      if (model.committed && what.outcome !== 'succeeded') return 'Bug';
      model.outcome = what.outcome;
      return null;
  }
}
