import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { examineInventory, type Known } from '../../src/client/doctor-inventory.js';
import { type Chom, openChom } from '../../src/client/open.js';
import { refuseNeededKey, retireKey } from '../../src/client/retire-key.js';
import { rotateKey } from '../../src/client/rotate-key.js';
import { workerIdentity } from '../../src/client/worker-identity.js';
import type { Inventory, Trx } from '../../src/inventory/database.js';
import { keyringFile, openKeyring } from '../../src/inventory/keyring-file.js';
import { Keyring, type KeyringObject } from '../../src/inventory/keyring.js';
import { sealedBy } from '../../src/inventory/reseal.js';
import * as workers from '../../src/inventory/workers.js';
import { failureOf } from '../inventory/databases.js';
import { openEverything, sealEverywhere } from '../inventory/sealed-rows.js';
import { type CommandLine, startCommandLine } from './command-line.js';

let cli: CommandLine;
let chom: Chom;
/** Who asks this Temporal for work, and how many workflows it keeps. */
let temporal: { pollers: string[]; workflows: number };
beforeEach(async () => {
  cli = await startCommandLine();
  temporal = { pollers: [], workflows: 0 };
  chom = await opened();
});
afterEach(async () => {
  await chom.close();
  await cli.close();
});

async function opened(inventory?: (real: Inventory) => Inventory): Promise<Chom> {
  const real = await openChom(cli.environment);
  const seconds = () => Math.floor(Date.now() / 1000);
  const played = {
    ...{ address: 'test', namespace: 'default' },
    workflowService: {
      describeTaskQueue: async () => ({
        pollers: temporal.pollers.map((identity) => ({ identity, lastAccessTime: { seconds: seconds() } })),
      }),
    },
    workflow: { count: async () => ({ count: temporal.workflows }) },
  };
  return {
    ...real,
    ...(inventory && { inventory: inventory(real.inventory) }),
    temporal: async () => played as unknown as Awaited<ReturnType<Chom['temporal']>>,
  };
}

const file = async () => JSON.parse(await readFile(keyringFile(cli.home), 'utf8')) as KeyringObject;
const patience = { patienceMilliseconds: 0 };
const tell = async (identity: string, keyring: Keyring) =>
  await chom.inventory.transaction(async (trx) => await workers.tell(trx, identity, keyring));

describe('chom key rotate', () => {
  test('makes a key, seals everything with it, and keeps the one before for histories', async () => {
    await sealEverywhere(chom.inventory, chom.keyring);
    const before = await openEverything(chom.inventory, chom.keyring);
    const old = chom.keyring.current;
    const { key, kept, values, unreadable } = await rotateKey(chom, patience);
    expect([kept, unreadable]).toEqual([[old], []]);
    expect(values).toBeGreaterThan(10);
    const { current, keys, rotating } = await file();
    expect([current, keys.map(({ id }) => id), rotating]).toEqual([key, [old, key], undefined]);
    expect(await sealedBy(chom.inventory.db, old)).toEqual({});
    expect(await openEverything(chom.inventory, chom.keyring)).toEqual(before);
  });

  test('switches nobody to a key that a worker lacks, and goes on with that key once it has it', async () => {
    const old = chom.keyring.current;
    const theirs = Keyring.fromObject(await file());
    const away = workerIdentity('controller', theirs);
    // Of an older CHOM, which tells nothing of itself.
    temporal.pollers = [away];
    const waits = await failureOf(rotateKey(chom, patience));
    expect(waits).toMatchObject({ type: 'Conflict', details: { next: expect.stringContaining('chom key rotate') } });
    expect(waits.message).toContain(away.split(' ')[0]);
    const { current, rotating = '' } = await file();
    expect(current).toBe(old);
    expect(await failureOf(rotateKey(chom, patience))).toMatchObject({ type: 'Conflict' });
    expect((await file()).rotating).toBe(rotating);
    // It holds the key, and seals with the one before: nothing is sealed anew that it would write once more.
    await tell(away, Keyring.fromObject({ ...(await file()), current: old }));
    expect(await failureOf(rotateKey(chom, patience))).toMatchObject({ type: 'Conflict' });
    expect(await file()).toMatchObject({ current: rotating, rotating });
    await tell(away, Keyring.fromObject(await file()));
    expect(await rotateKey(chom, patience)).toMatchObject({ key: rotating, kept: [old] });
  });

  test('goes on wherever it was killed, with the same key, and at each point everything opens', async () => {
    await sealEverywhere(chom.inventory, chom.keyring, 210);
    const before = await openEverything(chom.inventory, chom.keyring);
    const ids = new Set<string>();
    for (let n = 1; ; n += 1) {
      let left = n;
      const dying = await opened((real) => ({
        ...real,
        db: real.db,
        async transaction<Result>(fn: (trx: Trx) => Promise<Result>): Promise<Result> {
          const result = await real.transaction(fn);
          left -= 1;
          if (left === 0) throw new Error('killed');
          return result;
        },
      }));
      const killed = await rotateKey(dying, patience).then(
        () => false,
        () => true,
      );
      await dying.close();
      const { rotating } = await file();
      if (rotating !== undefined) ids.add(rotating);
      expect(await openEverything(chom.inventory, await openKeyring(cli.home))).toEqual(before);
      if (!killed) break;
      expect(n).toBeLessThan(60);
    }
    expect(ids.size).toBe(1);
    expect((await file()).keys).toHaveLength(2);
  });

  test('says nothing of a key but its id', async () => {
    await rotateKey(chom, patience);
    const { stdout, stderr } = await cli.here('key', 'list', '--json');
    const { keys } = await file();
    expect(JSON.parse(stdout)).toMatchObject({
      keys: keys.map(({ id }, n) => ({ id, state: ['replaced', 'in use'][n] })),
    });
    for (const { key } of keys) expect(stdout + stderr).not.toContain(key);
    expect(await cli.here('key', 'rotate')).toMatchObject({ status: 12 });
  });

  test('is missed by the doctor where it was not finished, and where no backup holds the new key', async () => {
    const findings = async () => {
      const known: Known = { controller: null, keys: null, holders: [] };
      return (await examineInventory(chom.config, known)).filter(({ name }) => name === 'master key');
    };
    await sealEverywhere(chom.inventory, chom.keyring);
    expect(await findings()).toEqual([]);
    temporal.pollers = ['somebody'];
    await failureOf(rotateKey(chom, patience));
    expect(await findings()).toEqual([
      expect.objectContaining({ state: 'wrong', next: expect.stringContaining('rotate') }),
    ]);
    temporal.pollers = [];
    await rotateKey(chom, patience);
    expect(await findings()).toEqual([
      expect.objectContaining({ state: 'wrong', message: expect.stringContaining('No backup of CHOM itself') }),
    ]);
    await cli.here('recovery-kit');
    const kit = async () => JSON.parse((await cli.here('recovery-kit', '--json')).stdout) as Record<string, unknown>;
    expect((await cli.here('backup', 'database')).status).toBe(0);
    expect(await findings()).toEqual([]);
    expect(await kit()).toMatchObject({ masterKey: chom.keyring.current, outdated: false });
    await rotateKey(chom, patience);
    expect(await kit()).toMatchObject({ outdated: true });
  });
});

describe('chom key retire', () => {
  test('throws a key away that was replaced, and that nothing needs', async () => {
    await sealEverywhere(chom.inventory, chom.keyring);
    const before = await openEverything(chom.inventory, chom.keyring);
    const old = chom.keyring.current;
    const stale = Keyring.fromObject(await file());
    const refused = async () => await failureOf(refuseNeededKey(chom, old));
    expect(await refused()).toMatchObject({ type: 'Conflict', details: { next: 'chom key rotate' } });
    await rotateKey(chom, patience);
    temporal.workflows = 3;
    expect(await refused()).toMatchObject({ message: expect.stringContaining('keeps 3 workflows') });
    temporal.workflows = 0;
    await tell(workerIdentity('controller', stale), stale);
    expect(await refused()).toMatchObject({ message: expect.stringContaining('may seal with it') });
    await chom.inventory.transaction(async (trx) => await workers.leave(trx, workerIdentity('controller', stale)));
    // What a process has written since that was slow to take the new one up is sealed anew.
    await chom.inventory.transaction(async (trx) => {
      const sealed = stale.seal(Buffer.from('sesame'), 'secret/provision-site-1/word');
      await trx.updateTable('operationSecrets').set({ sealed }).execute();
    });
    await retireKey(chom, old);
    expect((await file()).keys.map(({ id }) => id)).toEqual([chom.keyring.current]);
    expect(await openEverything(chom.inventory, await openKeyring(cli.home))).toEqual(before);
    expect(await failureOf(retireKey(chom, old))).toMatchObject({ type: 'NotFound' });
    // With the new one alone everything starts as ever.
    expect((await cli.here('tenant', 'list')).status).toBe(0);
  });

  test('wants it confirmed, and Temporal there to be asked', async () => {
    expect(await cli.here('key', 'retire', 'k0123456789ab')).toMatchObject({ status: 5 });
    const old = chom.keyring.current;
    await rotateKey(chom, patience);
    expect(await cli.here('key', 'retire', old, '--confirm', old)).toMatchObject({ status: 12 });
  });
});
