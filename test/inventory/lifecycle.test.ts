import * as fc from 'fast-check';
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

/** What each end emits. */
const ENDED = { succeeded: 'SiteProvisioned', failed: 'SiteProvisioningFailed', cancelled: 'Alert' } as const;

const anyStep = fc.integer({ min: 1, max: 5 });
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'begin' }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('enter' as const), step: anyStep, undo: fc.boolean(), final: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'commit' }) },
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'turn back' }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('undo' as const), step: anyStep, fails: fc.boolean() }) },
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

  test('it ends once, never both goes forward and back, and undoes in reverse', { timeout: 300_000 }, async () => {
    let differences: unknown[] = [];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(act, by), { minLength: 1, maxLength: 25 }), async (acts) => {
        made += 1;
        differences = await live(`p${made}`, acts);
        return differences.length === 0;
      }),
      { numRuns: 100 },
    );
    expect(differences).toEqual([]);
  });

  /** Where it went otherwise than the model says. */
  async function live(id: string, acts: readonly [Act, string][]): Promise<unknown[]> {
    const { inventory, keyring } = database;
    await inventory.transaction((trx) => operations.ask(trx, keyring, provision(id)));
    const model: Model = { committed: false, undoing: false, outcome: null, journal: new Map() };
    const differences: unknown[] = [];
    const compare = (what: unknown, found: unknown, foretold: unknown) => {
      if (JSON.stringify(found) !== JSON.stringify(foretold)) differences.push({ what, found, foretold });
    };
    for (const [what, run] of [[{ do: 'begin' }, 'run'] as [Act, string], ...acts]) {
      const refused = await attempt(id, what, { operation: id, run, epoch: 1 });
      compare([what, run], refused, foretell(what, run, model));
    }
    const { committed, undoing, outcome, journal } = model;
    const row = await operations.byId(inventory.db, id);
    compare('row', [row.committed, row.undoing, row.outcome], [committed, undoing, outcome]);
    compare('one way', row.committed && row.undoing, false);
    const left = (await undos.pending(inventory.db, keyring, id)).map(({ step }) => step);
    const owed = [...journal].filter(([, state]) => state !== 'undone').map(([step]) => step);
    compare(
      'in reverse',
      left,
      owed.toSorted((a, b) => b - a),
    );
    const emitted = (await events.list(inventory.db, { operation: id })).map(({ type }) => type);
    compare('one event', emitted, outcome === null ? [] : [ENDED[outcome]]);
    compare('place', (await places.find(inventory.db, id)) === null, outcome !== null);
    return differences;
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
          const type = ENDED[what.outcome];
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

interface Model {
  committed: boolean;
  undoing: boolean;
  outcome: Outcome | null;
  journal: Map<number, 'journalled' | 'undone' | 'failed'>;
}

/** How the act is refused according to the rules, or null; it changes the model. */
function foretell(what: Act, run: string, model: Model): string | null {
  if (run !== 'run') return 'Superseded';
  if (model.outcome !== null) return what.do === 'conclude' ? null : 'Superseded';
  return RULES[what.do](what as never, model);
}

type Rules = { [Name in Act['do']]: (what: Extract<Act, { do: Name }>, model: Model) => string | null };

const RULES: Rules = {
  begin: () => null,
  enter({ step, undo, final }, model) {
    if (!undo && !final) return null;
    if (model.undoing) return 'Superseded';
    if (undo && !model.committed && !model.journal.has(step)) model.journal.set(step, 'journalled');
    return null;
  },
  commit(_, model) {
    if (model.undoing) return 'Superseded';
    model.committed = true;
    return null;
  },
  'turn back'(_, model) {
    if (!model.committed) model.undoing = true;
    return null;
  },
  undo({ step, fails }, model) {
    if (model.committed) return 'Bug';
    model.undoing = true;
    const state = model.journal.get(step);
    if (state !== undefined && state !== 'undone') model.journal.set(step, fails ? 'failed' : 'undone');
    return null;
  },
  conclude({ outcome }, model) {
    if (model.committed && outcome !== 'succeeded') return 'Bug';
    model.outcome = outcome;
    return null;
  },
};
