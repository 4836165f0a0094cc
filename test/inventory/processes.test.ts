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
    expect(answers.toSorted()).toEqual(['in line', 'in line', 'in line', 'taken']);
    expect(await Promise.all(started.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
    const { db } = await database.open({}, where);
    const held = (await places.list(db)).filter(({ state }) => state === 'running');
    expect(held.map(({ root }) => root)).toEqual([`take${answers.indexOf('taken')}`]);
    // The others have written their run, and stand in line.
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
    expect(await torn(database)).toEqual([]);
  });
});

/** Operations that are not as one of the actor's transactions left them; there must be none. */
async function torn({ inventory, kind }: TestDatabase): Promise<unknown[]> {
  const { db } = inventory;
  const all = await operations.list(db, { limit: 10_000 });
  const held = new Set((await places.list(db)).map(({ root }) => root));
  const made = new Map((await sites.list(db)).map((site) => [site.createdBy, site]));
  const names = await db.selectFrom('siteNames').selectAll().execute();
  const emitted = new Set((await db.selectFrom('events').select('operation').execute()).map((row) => row.operation));
  const undos = new Set((await db.selectFrom('undos').select('operation').execute()).map((row) => row.operation));
  const found = all.map(({ id, state, outcome, run }) => {
    const site = made.get(id);
    const row = { id, state, outcome, run, place: held.has(id), undo: undos.has(id), event: emitted.has(id) };
    return { ...row, site: site?.status ?? null, names: names.filter((name) => name.site === site?.id).length };
  });
  const asked = {
    outcome: null,
    run: null,
    state: 'asked',
    place: false,
    undo: false,
    event: false,
    site: null,
    names: 0,
  };
  const begun = { ...asked, run: 'run', state: 'running', place: true };
  const reserved = { ...begun, undo: true, site: 'provisioning', names: 2 };
  const ended = { ...reserved, state: 'ended', outcome: 'succeeded', place: false, event: true, site: 'active' };
  const whole = new Set([asked, begun, reserved, ended].map(inOrder));
  const bad: unknown[] = found.filter((row) => !whole.has(inOrder(row)));
  const uids = [...made.values()].map(({ uid }) => uid);
  if (new Set(uids).size !== uids.length) bad.push({ uids });
  if (all.length < 15) bad.push({ operations: all.length });
  if (kind === 'sqlite') {
    const { rows } = await sql<Record<string, string>>`pragma integrity_check`.execute(db);
    if (Object.values(rows[0] ?? {})[0] !== 'ok') bad.push(rows);
  }
  return bad;
}

function inOrder(row: Record<string, unknown>): string {
  const states = Object.entries(row).filter(([name]) => name !== 'id');
  return JSON.stringify(states.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
