import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import type { InventoryLocation } from '../../src/inventory/database.js';
import { Keyring } from '../../src/inventory/keyring.js';
import * as operations from '../../src/inventory/operations.js';
import * as places from '../../src/inventory/places.js';
import * as sites from '../../src/inventory/sites.js';
import { onBothDatabases, type TestDatabase } from './databases.js';
import { type Act, type Actor, startActor } from './processes.js';
import { activeServer } from './records.js';

let actors: Actor[] = [];

afterEach(async () => {
  for (const { process } of actors) process.kill('SIGKILL');
  await Promise.all(actors.map(({ ended }) => ended));
  actors = [];
});

async function start(where: InventoryLocation, act: Act['act'], count: number): Promise<Actor[]> {
  const keyring = Keyring.generate();
  const names = Array.from({ length: count }, (_, n) => `${act}${n}`);
  const started = await Promise.all(names.map((name) => startActor({ where, keyring, act, name })));
  actors.push(...started);
  return started;
}

onBothDatabases('Several processes at once', (database) => {
  test('make one inventory together, and give a place in it to one of them', { timeout: 60_000 }, async () => {
    const where = await database.blank();
    const started = await start(where, 'take', 4);
    for (const { go } of started) go();
    const answers = await Promise.all(started.map(({ line }) => line()));
    expect(answers.toSorted()).toEqual(['Busy', 'Busy', 'Busy', 'taken']);
    expect(await Promise.all(started.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const { db } = await database.open({}, where);
    const held = await places.list(db);
    expect(held.map(({ root }) => root)).toEqual([`take${answers.indexOf('taken')}`]);
    // The others have written their run, so that each can record its outcome.
    const waiting = await operations.list(db, { state: 'waiting' });
    expect(waiting.map(({ run }) => run)).toEqual(['run', 'run', 'run']);
  });

  test('leave all or nothing of what a killed one wrote', { timeout: 60_000 }, async () => {
    const { inventory, where } = database;
    await inventory.transaction((trx) => activeServer(trx, 'web1'));
    const [steady, ...killed] = await start(where, 'work', 4);
    if (!steady) throw new Error('It did not start');
    steady.go();
    for (const [round, victim] of killed.entries()) {
      victim.go();
      // It has been through so often and is somewhere in its next operation.
      for (let n = 0; n <= round * 2; n += 1) await victim.line();
      victim.process.kill('SIGKILL');
      await victim.ended;
      // The other is not hindered by what the killed one held.
      await steady.line();
      await steady.line();
    }
    steady.process.kill('SIGKILL');
    await steady.ended;
    await checkWholeness(database);
  });
});

/** Every operation is as one of its transactions left it. */
async function checkWholeness({ inventory, kind }: TestDatabase): Promise<void> {
  if (kind === 'sqlite') {
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(inventory.db);
    expect(Object.values(rows[0] ?? {})).toEqual(['ok']);
  }
  const all = await operations.list(inventory.db, { limit: 10_000 });
  const held = new Set((await places.list(inventory.db)).map(({ root }) => root));
  const bySite = new Map((await sites.list(inventory.db)).map((site) => [site.id, site]));
  const names = await inventory.db.selectFrom('siteNames').selectAll().execute();
  const emitted = await inventory.db.selectFrom('events').select('operation').execute();
  const journalled = new Set(
    (await inventory.db.selectFrom('undos').select('operation').execute()).map((row) => row.operation),
  );
  expect(all.length).toBeGreaterThanOrEqual(15);
  for (const { id, state, outcome, run } of all) {
    const site = bySite.get(`s-${id}`);
    const ended = outcome !== null;
    expect({ id, place: held.has(id) }).toEqual({ id, place: run !== null && !ended });
    expect({ id, journal: journalled.has(id) }).toEqual({ id, journal: site !== undefined });
    expect({ id, names: names.filter((row) => row.site === `s-${id}`).length }).toEqual({ id, names: site ? 2 : 0 });
    expect({ id, events: emitted.filter((row) => row.operation === id).length }).toEqual({ id, events: ended ? 1 : 0 });
    if (ended) expect({ id, state, status: site?.status }).toEqual({ id, state: 'ended', status: 'active' });
    else expect(site?.status ?? 'provisioning').toBe('provisioning');
  }
  const uids = [...bySite.values()].map(({ uid }) => uid);
  expect(new Set(uids).size).toBe(uids.length);
}
