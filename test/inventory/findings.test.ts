import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as events from '../../src/inventory/events.js';
import { changeOf, clearsAfter, type Counts, type Known } from '../../src/inventory/finding-changes.js';
import * as findings from '../../src/inventory/findings.js';
import type { Sighting } from '../../src/inventory/findings.js';
import * as operations from '../../src/inventory/operations.js';
import * as checks from '../../src/inventory/server-checks.js';
import * as servers from '../../src/inventory/servers.js';
import { onBothDatabases } from './databases.js';
import { activeServer, provision } from './records.js';

const HOUR = 3_600_000;
const START = Date.parse('2026-01-01T00:00:00Z');
const full: Sighting = {
  ...{ key: 'disk//', name: 'disk', site: null, severity: 'serious', message: '/ has 9 MiB free', cause: null },
  ...{ next: 'df -h (on web1)', counts: { checks: 1 } },
};
const busy: Sighting = { ...full, key: 'load', name: 'load', severity: 'warning', counts: { checks: 3 } };

onBothDatabases('What checks of a server find', (database) => {
  let n = 0;
  /** One check, an hour after the one before. */
  async function check(...sightings: Sighting[]): Promise<string[]> {
    return await checkOf(() => true, ...sightings);
  }
  async function checkOf(covers: findings.Scope['covers'], ...sightings: Sighting[]): Promise<string[]> {
    n += 1;
    const at = START + n * HOUR;
    const { opened, resolved } = await database.inventory.transaction(async (trx) => {
      const scope = { server: 'web1', tenant: 'default', covers };
      return await findings.record(trx, scope, sightings, { check: `check-${n}`, at });
    });
    return [...opened.map(({ key }) => `+${key}`), ...resolved.map(({ key }) => `-${key}`)];
  }
  const told = async () =>
    (await events.list(database.inventory.db, { server: 'web1' })).map(
      ({ type, data }) => `${type} ${String(data['name'] ?? data['about'])}`,
    );
  const begin = async () => {
    n = 0;
    await database.inventory.transaction(async (trx) => void (await activeServer(trx, 'web1')));
  };

  test('is told once when it is new and once when it is gone; what is serious is an alert', async () => {
    await begin();
    expect(await check(full)).toEqual(['+disk//']);
    expect(await check({ ...full, message: '/ has 8 MiB free' })).toEqual([]);
    expect(await check(full)).toEqual([]);
    const [open] = await findings.open(database.inventory.db, { server: 'web1' });
    expect(open).toMatchObject({ seen: 3, state: 'open', message: full.message });
    expect(await check()).toEqual(['-disk//']);
    expect(await check()).toEqual([]);
    expect(await told()).toEqual([
      'ServerFindingOpened disk',
      'Alert ServerFindingOpened',
      'ServerFindingResolved disk',
    ]);
    // It comes again: that is news again.
    expect(await check(full)).toEqual(['+disk//']);
    const all = await findings.list(database.inventory.db, 'web1');
    expect(all.map(({ state }) => state)).toEqual(['open', 'resolved']);
    expect(await events.list(database.inventory.db, { server: 'web1' })).toHaveLength(5);
  });

  test('counts only once it stays, and is gone only once it stays away', async () => {
    await begin();
    expect([await check(busy), await check(busy), await check()].flat()).toEqual([]);
    expect([await check(busy), await check(busy)].flat()).toEqual([]);
    expect(await findings.open(database.inventory.db, { server: 'web1' })).toEqual([]);
    expect(await check(busy)).toEqual(['+load']);
    expect([await check(), await check(busy), await check(), await check()].flat()).toEqual([]);
    expect(await check()).toEqual(['-load']);
    expect(await told()).toEqual(['ServerFindingOpened load', 'ServerFindingResolved load']);
  });

  test('counts after hours where it takes that long to be wrong', async () => {
    await begin();
    const late: Sighting = { ...busy, key: 'upgrades', name: 'upgrades', counts: { hours: 2 } };
    expect([await check(late), await check(late)].flat()).toEqual([]);
    expect(await check(late)).toEqual(['+upgrades']);
    expect(await check()).toEqual(['-upgrades']);
  });

  test('stays as it is where nobody looked', async () => {
    await begin();
    const down = { ...full, key: 's1/http', name: 'http', site: 's1' };
    expect(await check(full, down)).toEqual(['+disk//', '+s1/http']);
    const away = { ...full, key: 'login/Unreachable', name: 'login' };
    const covers = ({ key }: { key: string }) => key.startsWith('login');
    expect(await checkOf(covers, away)).toEqual(['+login/Unreachable']);
    expect(await checkOf(({ site }) => site === null)).toEqual(['-disk//', '-login/Unreachable']);
    expect((await findings.open(database.inventory.db, { tenant: 'default' })).map(({ key }) => key)).toEqual([
      's1/http',
    ]);
  });

  test('is nobody’s concern once the server is removed', async () => {
    await begin();
    await check(full, busy);
    await database.inventory.transaction(async (trx) => await servers.setStatus(trx, 'web1', 'removed'));
    expect((await findings.list(database.inventory.db, 'web1')).map(({ state }) => state)).toEqual(['resolved']);
    expect(await told()).toHaveLength(2);
  });

  test('is recorded by one check at a time, and summed up for each server', async () => {
    await begin();
    const { inventory, keyring } = database;
    const ask = async (id: string) => {
      const held = await inventory.transaction(async (trx) => await checks.claim(trx, 'web1', id));
      const row = { ...provision(id), kind: 'check-server' as const, server: null, site: null };
      if (held === id) await inventory.transaction(async (trx) => void (await operations.ask(trx, keyring, row)));
      return held;
    };
    expect(await ask('one')).toBe('one');
    expect(await ask('two')).toBe('one');
    expect((await checks.health(inventory.db, 'default')).get('web1')).toEqual({
      checkedAt: null,
      open: 0,
      serious: 0,
    });
    const ended = await inventory.transaction(async (trx) => await operations.cancelAsked(trx, 'one'));
    expect(ended).toEqual([]);
    expect(await ask('three')).toBe('three');
    const conclude = async (id: string) =>
      await inventory.transaction(async (trx) => await checks.conclude(trx, 'web1', id));
    expect([await conclude('one'), await conclude('three')]).toEqual([false, true]);
    await check(full, { ...busy, counts: { checks: 1 } });
    const health = (await checks.health(inventory.db, 'default')).get('web1');
    expect(health).toEqual({ checkedAt: expect.any(String), open: 2, serious: 1 });
    expect(await checks.health(inventory.db, 'other')).toEqual(new Map());
  });
});

test('whatever checks see, what opened is resolved before it opens again, and neither happens sooner than it may', () => {
  const counts = fc.oneof(
    fc.record({ checks: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ hours: fc.integer({ min: 0, max: 4 }) }),
  );
  fc.assert(
    fc.property(counts, fc.array(fc.boolean(), { maxLength: 40 }), (how: Counts, looks) => {
      let known: Known | null = null;
      const told: string[] = [];
      for (const [at, seen] of looks.entries()) {
        const now = START + at * HOUR;
        const change = changeOf(known, seen ? { counts: how } : null, now);
        if (change === 'open') {
          told.push('+');
          const needed = 'checks' in how ? how.checks : Math.max(1, how.hours + 1);
          const before = looks.slice(Math.max(0, at - needed + 1), at + 1);
          if (before.length < needed || before.includes(false)) told.push('too soon');
        }
        if (change === 'resolve') told.push('-');
        const before: Known = known ?? {
          ...{ state: 'noticed', seen: 0, missed: 0, clearsAfter: clearsAfter(how) },
          firstSeenAt: new Date(now).toISOString(),
        };
        if (change === 'resolve' || change === 'drop') known = null;
        else if (change === 'miss') known = { ...before, seen: 0, missed: before.missed + 1 };
        else if (change !== null) {
          known = { ...before, seen: before.seen + 1, missed: 0, ...(change === 'open' && { state: 'open' as const }) };
        }
      }
      expect(told.join('')).toMatch(/^(\+-)*\+?$/);
    }),
  );
});
