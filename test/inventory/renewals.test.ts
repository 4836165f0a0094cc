import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Chom } from '../../src/client/open.js';
import { renewCertificates } from '../../src/client/renew-certificate.js';
import { askWindows, renewDue } from '../../src/client/renewals.js';
import { retryOperation } from '../../src/client/retry-operation.js';
import type { Submitter } from '../../src/client/submit.js';
import * as events from '../../src/inventory/events.js';
import { renewalDue } from '../../src/inventory/renewal-schedule.js';
import * as renewals from '../../src/inventory/renewals.js';
import * as renewalTries from '../../src/inventory/renewal-tries.js';
import * as servers from '../../src/inventory/servers.js';
import * as sites from '../../src/inventory/sites.js';
import { onBothDatabases, onDatabase } from './databases.js';
import { DAY, renewing, START } from './renewing.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: START }));
afterEach(() => vi.useRealTimers());

const AWAY = { failureType: 'AuthorityUnreachable', reason: 'it does not answer' } as const;

onBothDatabases('A certificate in service', (database) => {
  test('has one renewal, also where it is older than these, and none once its site is gone', async () => {
    const { site } = await renewing(database);
    const { inventory } = database;
    await site('sonesitesa', 'one.test');
    await site('stwositesa', 'two.test');
    await inventory.transaction(async (trx) => void (await trx.deleteFrom('renewals').execute()));
    expect(await renewals.list(inventory.db)).toEqual([]);
    expect(await renewals.complete(inventory)).toEqual(['sonesitesa', 'stwositesa']);
    expect(await renewals.complete(inventory)).toEqual([]);
    expect((await renewals.list(inventory.db)).map((one) => one.site)).toEqual(['sonesitesa', 'stwositesa']);
    // What a copy of the inventory held is of an older certificate.
    await inventory.transaction(async (trx) => {
      await trx
        .updateTable('renewals')
        .set({ certificate: 'c2', failures: 3 })
        .where('site', '=', 'sonesitesa')
        .execute();
    });
    await renewals.complete(inventory);
    expect((await renewals.list(inventory.db, { site: 'sonesitesa' }))[0]).toMatchObject({
      certificate: 'c1',
      failures: 0,
    });
    await inventory.transaction(async (trx) => await sites.setStatus(trx, 'sonesitesa', 'removed'));
    expect((await renewals.list(inventory.db)).map((one) => one.site)).toEqual(['stwositesa']);
    await inventory.transaction(async (trx) => await servers.setStatus(trx, 'web1', 'removed'));
    expect(await renewals.list(inventory.db)).toEqual([]);
  });

  test('is renewed when its authority says, which is told by its window; what is due already stays so', async () => {
    const { site, chom, owed } = await renewing(database);
    await site('sonesitesa', 'one.test');
    const day = (n: number) => new Date(START + n * DAY).toISOString();
    const { inventory } = chom;
    const said = { window: { start: day(20), end: day(21) }, explanation: 'https://ca.test/why', askAt: day(1) };
    await inventory.transaction(async (trx) => {
      const [one] = await renewals.list(trx, { site: 'sonesitesa' });
      if (one) await renewals.recordWindow(trx, one, said);
    });
    const due = Date.parse((await owed('sonesitesa'))?.due ?? '');
    expect(due).toBeGreaterThanOrEqual(START + 20 * DAY);
    expect(due).toBeLessThanOrEqual(START + 21 * DAY);
    expect(await renewals.isAdvised(inventory.db, 'sonesitesa')).toBe(false);
    await inventory.transaction(async (trx) => await renewals.hasten(trx, 'sonesitesa', day(0)));
    await inventory.transaction(async (trx) => {
      const [one] = await renewals.list(trx, { site: 'sonesitesa' });
      if (one) await renewals.recordWindow(trx, one, { ...said, window: { start: day(-1), end: day(30) } });
    });
    expect(await owed('sonesitesa')).toMatchObject({ due: day(0), explanation: 'https://ca.test/why' });
    expect(await renewals.isAdvised(inventory.db, 'sonesitesa')).toBe(true);
  });

  test('is asked about once at a time, and what its authority said holds while it is silent', async () => {
    const { site, chom, owed } = await renewing(database);
    await site('sonesitesa', 'one.test');
    const window = { start: '2026-02-01T00:00:00.000Z', end: '2026-02-02T00:00:00.000Z' };
    const answer = { window, explanation: 'https://ca.test/why', retryAfterSeconds: 3600 };
    let asked = 0;
    const ask = async () => {
      asked += 1;
      return answer;
    };
    const both = await Promise.all([askWindows(chom, START, ask), askWindows(chom, START, ask)]);
    expect(both.flat()).toEqual(['sonesitesa']);
    expect(asked).toBe(1);
    expect(await owed('sonesitesa')).toMatchObject({ windowStart: window.start, explanation: answer.explanation });
    expect(await askWindows(chom, START + 3_599_000, ask)).toEqual([]);
    const failures: { what: string; error: unknown }[] = [];
    const silent = async () => await Promise.reject(new Error('nobody there'));
    expect(await askWindows(chom, START + 3_600_000, silent, failures)).toEqual([]);
    expect(failures).toEqual([{ what: expect.stringContaining('one.test'), error: expect.any(Error) }]);
    expect(await owed('sonesitesa')).toMatchObject({
      windowStart: window.start,
      askAt: new Date(START + 7 * 3_600_000).toISOString(),
    });
    expect(await askWindows(chom, START + 8 * 3_600_000, async () => null)).toEqual([]);
    expect(await owed('sonesitesa')).toMatchObject({ windowStart: null, explanation: null });
  });

  test('is renewed once in its life, by one of many that see it due', async () => {
    const { site, until, tries, chom, owed } = await renewing(database);
    await site('sonesitesa', 'one.test');
    const life = await owed('sonesitesa');
    const due = Date.parse(life?.due ?? '');
    expect(Math.abs(due - renewalDue(life ?? { notBefore: '', notAfter: '' }))).toBeLessThan(DAY);
    const [one, other] = [await database.open(), await database.open()];
    const both = [one, other].map((inventory) =>
      inventory.transaction(async (trx) => await renewalTries.next(trx, life as renewals.Owed, false)),
    );
    expect((await Promise.all(both)).filter(Boolean)).toEqual(
      expect.arrayContaining([renewalTries.renewalId('sonesitesa', 1)]),
    );
    expect(await owed('sonesitesa')).toMatchObject({ tries: 1 });
    // Counted and not asked for: whoever comes next asks for the same.
    await until(61);
    expect(tries.map(({ id }) => id)).toEqual(['renewal/sonesitesa/1']);
    expect(tries[0]?.plan.renewal).toEqual({ certificate: 'c1', emergency: false, fallback: false });
    await until(200);
    expect(tries.map(({ id }) => id)).toEqual(['renewal/sonesitesa/1', 'renewal/sonesitesa/2', 'renewal/sonesitesa/3']);
    expect(chom.config.acmeFallbackDirectory).toBeUndefined();
  });
});

onBothDatabases('A person', (database) => {
  const administrator = (chom: Submitter): Chom => {
    return { ...chom, tenant: 'default', temporal: async () => chom.temporal, close: async () => {} };
  };

  test('who retries a renewal that failed gets the next try of it, and once', async () => {
    const { site, sleep, tries, chom, answer, owed } = await renewing(database);
    await site('sonesitesa', 'one.test');
    sleep(61);
    answer(() => AWAY);
    expect(await renewDue(chom, Date.now())).toEqual(['renewal/sonesitesa/1']);
    answer(() => ({ days: 90 }));
    const retry = async () => await retryOperation(administrator(chom), 'renewal/sonesitesa/1');
    expect([await retry(), await retry()]).toEqual(['renewal/sonesitesa/2', 'renewal/sonesitesa/2']);
    expect(tries.map(({ id, plan }) => [id, plan.renewal?.certificate])).toEqual([
      ['renewal/sonesitesa/1', 'c1'],
      ['renewal/sonesitesa/2', 'c1'],
    ]);
    expect(await owed('sonesitesa')).toMatchObject({ certificate: 'c2', tries: 2, failures: 0 });
  });

  test('who retries one that failed again by the schedule is told which try that was', async () => {
    const { site, sleep, until, chom, answer } = await renewing(database);
    await site('sonesitesa', 'one.test');
    sleep(61);
    answer(() => AWAY);
    await until(61.005);
    await expect(retryOperation(administrator(chom), 'renewal/sonesitesa/1')).rejects.toMatchObject({
      type: 'Conflict',
      details: [{ next: 'chom op retry renewal/sonesitesa/2' }],
    });
  });

  test('who renews what is due has the rows that lack looked for once', async () => {
    const { site, chom } = await renewing(database);
    await site('sonesitesa', 'one.test');
    const asked: string[] = [];
    const { inventory } = chom;
    const db = new Proxy(inventory.db, {
      get(target, name) {
        if (name !== 'selectFrom') return Reflect.get(target, name) as unknown;
        return (table: 'certificates') => {
          asked.push(table);
          return target.selectFrom(table);
        };
      },
    });
    for (const all of [false, true]) {
      asked.length = 0;
      await renewCertificates(administrator({ ...chom, inventory: { ...inventory, db } }), { all });
      expect(asked.filter((table) => table === 'certificates')).toHaveLength(1);
    }
  });
});

onDatabase('sqlite', 'Over weeks', (database) => {
  const daysOf = (tries: { day: number }[]) => tries.map(({ day }) => Math.round(day * 1000) / 1000);

  test('in which the authority is away for 20 days a certificate is tried for patiently, and is renewed in time', async () => {
    const { site, until, tries, answer, owed, told } = await renewing(database);
    await site('sonesitesa', 'one.test');
    answer((_, day) => (day < 80 ? AWAY : { days: 90 }));
    await until(150);
    const failed = tries.filter(({ result }) => result === AWAY);
    const [first = 0, ...later] = daysOf(failed);
    expect(Math.abs(first - 60)).toBeLessThan(1);
    const gaps = later.map((day, index) => (day - (daysOf(failed)[index] ?? 0)) * 1440);
    expect(gaps.slice(0, 3).map((gap) => Math.floor(gap / 10))).toEqual([0, 1, 10]);
    // Then once a day.
    for (const gap of gaps.slice(3)) expect(gap).toBeGreaterThanOrEqual(1440 * 0.99);
    expect(failed.length).toBeLessThan(4 + 21);
    const renewed = tries.find(({ result }) => result !== AWAY);
    expect(renewed?.day).toBeGreaterThan(80);
    expect(renewed?.day).toBeLessThan(81.5);
    expect(tries.filter(({ result }) => result !== AWAY).length).toBe(2);
    expect(await owed('sonesitesa')).toMatchObject({ failures: 0, failingSince: null, certificate: 'c3' });
    expect(await told()).toEqual([['fifth', 72]]);
  });

  test('60 days away, and nothing is given up before 30 days and the end; each stage is told once', async () => {
    const { site, until, tries, answer, owed, told, chom } = await renewing(database);
    await site('sonesitesa', 'one.test');
    answer(() => AWAY);
    await until(89);
    // More often, the nearer the end.
    const inLastDays = daysOf(tries).filter((day) => day > 88).length;
    expect(inLastDays).toBeGreaterThan(5);
    await until(120);
    expect((await told()).slice(0, 4)).toEqual([
      ['fifth', 72],
      ['twentieth', 85.5],
      ['expired', 90],
      ['given-up', expect.any(Number)],
    ]);
    expect((await owed('sonesitesa'))?.due).toBeNull();
    const [first = 0] = daysOf(tries);
    const last = daysOf(tries).at(-1) ?? 0;
    expect(last - first).toBeGreaterThanOrEqual(30);
    const alerts = (await events.list(chom.inventory.db)).filter(({ type }) => type === 'Alert');
    expect(alerts.map(({ data }) => data['severity'])).toEqual(['error', 'critical', 'critical', 'critical']);
    const before = tries.length;
    await until(130);
    expect(tries).toHaveLength(before);
    // A person who asks has it taken up again.
    await chom.inventory.transaction(async (trx) => await renewals.hasten(trx, 'sonesitesa', new Date().toISOString()));
    answer(() => ({ days: 90 }));
    await until(131);
    expect(await owed('sonesitesa')).toMatchObject({ failures: 0, certificate: 'c2' });
  });

  test('with a second authority no certificate ends, and the two take turns', async () => {
    const settings = { CHOM_ACME_FALLBACK_DIRECTORY: 'https://other.test/dir' };
    const { site, until, tries, answer, owed } = await renewing(database, settings);
    await site('sonesitesa', 'one.test');
    const held = { failureType: 'RateLimited', details: { retryAfterSeconds: 7 * 86_400 } } as const;
    let asked = 0;
    answer(({ renewal }) => {
      if (!renewal?.fallback) return held;
      asked += 1;
      return asked === 1 ? AWAY : { days: 90 };
    });
    await until(89.99);
    const at = tries.map(({ plan: { renewal }, day }) => [renewal?.fallback, renewal?.emergency, day >= 85.5]);
    const emergency = at.filter(([, , late]) => late);
    expect(at.filter(([, , late]) => !late).every(([fallback]) => fallback === false)).toBe(true);
    expect(emergency.slice(0, 2)).toEqual([
      [true, true, true],
      [true, true, true],
    ]);
    expect(await owed('sonesitesa')).toMatchObject({ failures: 0, certificate: 'c2' });
  });

  test('an authority that says 3 days is left alone for 3 days, over whatever restarts', async () => {
    const { site, until, tries, answer } = await renewing(database);
    await site('sonesitesa', 'one.test');
    const held = { failureType: 'RateLimited', details: { retryAfterSeconds: 3 * 86_400 } } as const;
    answer((_, day) => (day < 65 ? held : { days: 90 }));
    await until(75);
    const days = daysOf(tries);
    for (const [index, day] of days.slice(1).entries()) expect(day - (days[index] ?? 0)).toBeGreaterThanOrEqual(3);
    expect(tries.length).toBeLessThanOrEqual(3);
  });

  test('in which nobody sweeps, the first sweep tells how late it is, and renews', async () => {
    const { site, until, sleep, tries, told, owed } = await renewing(database);
    await site('sonesitesa', 'one.test');
    await until(1);
    sleep(72);
    await until(74);
    expect(tries).toHaveLength(1);
    expect(await owed('sonesitesa')).toMatchObject({ certificate: 'c2' });
    // Renewed in the same sweep: there is nothing left to tell.
    expect(await told()).toEqual([]);
  });

  test('one that nobody takes up is told of a day after it was due', async () => {
    const { site, until, told, chom } = await renewing(database);
    await site('sonesitesa', 'one.test');
    // As a worker that is gone left it: asked for, and never begun.
    Object.assign(chom.temporal.workflow, { start: async () => undefined });
    await until(75);
    expect(await told()).toEqual([
      ['overdue', expect.closeTo(61, 0)],
      ['fifth', 72],
    ]);
  });

  test('a short one is renewed at half its life, and one that a person cancelled the day after', async () => {
    const { site, until, tries, answer } = await renewing(database);
    await site('sonesitesa', 'one.test', 160 / 24);
    answer(() => ({ days: 160 / 24 }));
    await until(20);
    const gaps = daysOf(tries).map((day, index, all) => (day - (all[index - 1] ?? 0)) * 24);
    for (const gap of gaps) expect(Math.abs(gap - 80)).toBeLessThan(4);
    await site('stwositesa', 'two.test');
    let first = true;
    answer(({ site: of }) => {
      const cancelled = first && of === 'stwositesa';
      if (cancelled) first = false;
      return cancelled ? 'cancelled' : { days: 90 };
    });
    await until(90);
    const days = daysOf(tries.filter(({ plan }) => plan.site === 'stwositesa'));
    expect((days[1] ?? 0) - (days[0] ?? 0)).toBeCloseTo(1, 1);
  });
});
