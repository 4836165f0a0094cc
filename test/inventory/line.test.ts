import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AGEING_MILLISECONDS, next, type Running, type Waiting } from '../../src/inventory/line.js';
import type { Priority } from '../../src/inventory/schema.js';

const BOUND = 4;

interface Order {
  tenant: string;
  site: string;
  exclusive: boolean;
  priority: Priority;
  /** How long it works once it has its place. */
  takes: number;
  /** How long after the one before it is asked for. */
  after: number;
}

const order: fc.Arbitrary<Order> = fc.record({
  tenant: fc.constantFrom('a', 'b', 'c'),
  site: fc.constantFrom('s1', 's2', 's3', 's4', 's5', 's6'),
  exclusive: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  priority: fc.constantFrom<Priority>('high', 'default', 'low'),
  takes: fc.integer({ min: 1, max: 900_000 }),
  after: fc.integer({ min: 0, max: 120_000 }),
});

const waits = (one: Partial<Waiting> & { root: string }): Waiting => ({
  ...{ tenant: 'a', site: one.root, exclusive: false, priority: 'default', turn: 0, since: 0 },
  ...one,
});
const now = 1000;
const at = (root: string, more: Partial<Running> = {}): Running => ({ root, site: root, exclusive: false, ...more });
const grant = (waiting: Waiting[], running: Running[] = [], served: [string, number][] = [], when = now) =>
  next(waiting, running, new Map(served), { bound: BOUND, now: when });

describe('Who is next', () => {
  test('whoever came first, as many as the server takes', () => {
    const line = ['e', 'd', 'c', 'b', 'a'].map((root, turn) => waits({ root, turn }));
    expect(grant(line)).toEqual(['e', 'd', 'c', 'b']);
    expect(grant(line, [at('x'), at('y'), at('z')])).toEqual(['e']);
    expect(grant(line, [at('w'), at('x'), at('y'), at('z')])).toEqual([]);
  });

  test('one at a time on a site; others pass', () => {
    const line = [
      waits({ root: 'a', site: 's', turn: 1 }),
      waits({ root: 'b', site: 's', turn: 2 }),
      waits({ root: 'c' }),
    ];
    expect(grant(line)).toEqual(['c', 'a']);
    expect(grant(line, [at('x', { site: 's' })])).toEqual(['c']);
  });

  test('one that wants the server alone waits for all, and nobody behind it passes', () => {
    const line = [waits({ root: 'alone', exclusive: true, turn: 1 }), waits({ root: 'late', turn: 2 })];
    expect(grant(line, [at('x')])).toEqual([]);
    expect(grant(line)).toEqual(['alone']);
    expect(grant(line.slice(1), [at('alone', { exclusive: true })])).toEqual([]);
  });

  test('high before default before low, until they have waited long', () => {
    const line = [
      waits({ root: 'low', priority: 'low', turn: 1 }),
      waits({ root: 'default', turn: 2 }),
      waits({ root: 'high', priority: 'high', turn: 3, since: 2 * AGEING_MILLISECONDS }),
    ];
    expect(grant(line)).toEqual(['high', 'default', 'low']);
    expect(grant(line, [], [], 2 * AGEING_MILLISECONDS)).toEqual(['low', 'default', 'high']);
  });

  test('tenants in turn', () => {
    const line = ['1', '2', '3'].flatMap((n, turn) => [waits({ root: `a${n}`, turn })]);
    const other = [waits({ root: 'b1', tenant: 'b', turn: 9 }), waits({ root: 'b2', tenant: 'b', turn: 10 })];
    expect(grant([...line, ...other])).toEqual(['a1', 'b1', 'a2', 'b2']);
    expect(grant([...line, ...other], [], [['a', 7]])).toEqual(['b1', 'a1', 'b2', 'a2']);
  });

  test('never two on a site, never beside one that is alone, never above the bound, and everybody in the end', () => {
    fc.assert(
      fc.property(fc.array(order, { minLength: 1, maxLength: 60 }), (orders) => {
        const { problems, served } = simulate(orders);
        expect(problems).toEqual([]);
        expect(served.toSorted()).toEqual(orders.map((_, n) => `o${n}`).toSorted());
      }),
      { numRuns: 300 },
    );
  });

  test('nobody is passed for ever, however many come after: neither a low one nor one that wants the server alone', () => {
    const stubborn = fc.record({ exclusive: fc.boolean(), priority: fc.constantFrom<Priority>('default', 'low') });
    fc.assert(
      fc.property(stubborn, fc.array(order, { minLength: 200, maxLength: 200 }), ({ exclusive, priority }, orders) => {
        // A stream of high ones of the same tenant, on every site, that never pauses.
        const stream = orders.map((one) => ({ ...one, tenant: 'a', exclusive: false, priority: 'high' as const }));
        const steady = stream.map((one) => ({ ...one, after: 10_000, takes: 60_000 }));
        const one: Order = { tenant: 'a', site: 's1', exclusive, priority, takes: 1, after: 0 };
        const { served, waited } = simulate([...steady.slice(0, 20), one, ...steady.slice(20)]);
        expect(served).toContain('o20');
        // Aged to the highest priority it is the first of its tenant; then it waits for those at work alone.
        expect(waited.get('o20')).toBeLessThan(2 * AGEING_MILLISECONDS + 20 * 60_000);
      }),
      { numRuns: 30 },
    );
  });
});

/** Lets the orders come and work in time, as a server's line would; says what must not be. */
function simulate(orders: readonly Order[]) {
  const problems: string[] = [];
  const served: string[] = [];
  const waited = new Map<string, number>();
  const lastServed = new Map<string, number>();
  let waiting: Waiting[] = [];
  let running: (Running & { until: number })[] = [];
  let clock = 0;
  const arrivals = orders.map((one, n) => ({ ...one, n, when: (clock += one.after) }));
  let time = 0;
  while (arrivals.length > 0 || waiting.length > 0 || running.length > 0) {
    const soonest = Math.min(arrivals[0]?.when ?? Infinity, ...running.map(({ until }) => until));
    if (soonest === Infinity) {
      problems.push(`${waiting.length} wait for ever`);
      break;
    }
    time = soonest;
    running = running.filter(({ until }) => until > time);
    while (arrivals[0] && arrivals[0].when <= time) {
      const { n, tenant, site, exclusive, priority } = arrivals.shift()!;
      waiting.push({ root: `o${n}`, tenant, site, exclusive, priority, turn: n, since: time });
    }
    for (const root of next(waiting, running, lastServed, { bound: BOUND, now: time })) {
      const one = waiting.find((each) => each.root === root)!;
      if (running.some(({ site }) => site === one.site)) problems.push(`${root}: its site is busy`);
      if (running.some(({ exclusive }) => exclusive)) problems.push(`${root}: beside one that is alone`);
      if (one.exclusive && running.length > 0) problems.push(`${root}: not alone`);
      if (running.length >= BOUND) problems.push(`${root}: one too many`);
      waiting = waiting.filter((each) => each !== one);
      running.push({ ...one, until: time + (orders[one.turn]?.takes ?? 0) });
      lastServed.set(one.tenant, Math.max(0, ...lastServed.values()) + 1);
      served.push(root);
      waited.set(root, time - one.since);
    }
  }
  return { problems, served, waited };
}
