import { setTimeout as sleep } from 'node:timers/promises';
import { changeKeyring } from '../inventory/keyring-file.js';
import { Keyring, type KeyringObject } from '../inventory/keyring.js';
import * as keyIds from '../inventory/key-ids.js';
import { reseal, type Resealed } from '../inventory/reseal.js';
import { noteKey } from '../inventory/sealing.js';
import { failure } from '../workflows/failures.js';
import { lookForHolders, type Lagging } from './key-holders.js';
import type { Chom } from './open.js';

/** What came of a rotation of the master key. */
export interface KeyRotated extends Resealed {
  /** Id of the key that seals from now on. */
  key: string;
  /** Ids of those that are kept for histories. */
  kept: string[];
}

export interface KeyRotation {
  /** How long workers that lack the key are waited for, in milliseconds. */
  patienceMilliseconds?: number;
  /** Told what is waited for. */
  say?: (line: string) => void;
}

const PATIENCE_MS = 120_000;
const PAUSE_MS = 1000;

/**
 * Gives CHOM another master key and seals everything in the inventory with it. Each phase is on the disk before the next one
 * begins, so that it can die anywhere; called again it goes on where it was: the key is made, and seals nothing → every
 * worker that is there holds it → it seals → every worker seals with it → what others sealed was sealed anew → done.
 * @throws Conflict another process changes the keyring; or a worker does not get the key, and none was switched to it
 * @throws TemporalUnavailable nobody can say who works; InventoryUnavailable
 */
export async function rotateKey(
  chom: Chom,
  { patienceMilliseconds = PATIENCE_MS, say = () => {} }: KeyRotation = {},
): Promise<KeyRotated> {
  const { config, inventory, keyring } = chom;
  // Before anything is written: without Temporal nobody can say who works.
  await chom.temporal();
  const deadline = Date.now() + patienceMilliseconds;
  const { current, rotating } = await change(chom, (object) => Keyring.withNext(object));
  const key = rotating ?? current;
  if (current !== key) {
    const waiting = async () => await awaitWorkers(chom, { deadline, say, key }, ({ lacking }) => lacking);
    await waiting();
    // From here on whoever has another keyring does not start; those that have started just before are waited for.
    await inventory.transaction(async (trx) => await noteKey(trx, keyring, key));
    await waiting();
    await change(chom, (object) => (object.rotating === key ? { ...object, current: key } : object));
  }
  await awaitWorkers(chom, { deadline, say, key }, ({ sealingOtherwise }) => sealingOtherwise);
  const resealed = await reseal(inventory, keyring);
  await inventory.transaction(async (trx) => await keyIds.markReplaced(trx, key));
  const { keys } = await changeKeyring(config.home, ({ rotating: ended, ...object }) =>
    ended === key || ended === undefined ? object : { ...object, rotating: ended },
  );
  keyring.refreshed(true);
  return { key, kept: keys.map(({ id }) => id).filter((id) => id !== key), ...resealed };
}

async function change(
  { config, keyring }: Chom,
  how: (object: KeyringObject) => KeyringObject,
): Promise<KeyringObject> {
  const changed = await changeKeyring(config.home, how);
  keyring.refreshed(true);
  return changed;
}

async function awaitWorkers(
  chom: Chom,
  { key, deadline, say }: { key: string; deadline: number; say: (line: string) => void },
  those: (lagging: Lagging) => string[],
): Promise<void> {
  let told = '';
  for (;;) {
    const lagging = await lookForHolders(chom, key);
    const left = those(lagging);
    if (left.length === 0) return;
    if (Date.now() >= deadline) throw behind(key, left);
    const line = `Waiting for ${left.join(', ')} to take key ${key} up`;
    if (line !== told) say(line);
    told = line;
    await sleep(PAUSE_MS);
  }
}

function behind(key: string, left: readonly string[]) {
  return failure(
    'Conflict',
    `The rotation waits: ${left.join(', ')} ${left.length === 1 ? 'does' : 'do'} not use key ${key}`,
    {
      cause:
        'such a worker has a keyring.json of its own, or is of an older version of CHOM; nothing is lost meanwhile',
      next: 'give it this keyring.json, or end it; then chom key rotate, which goes on',
    },
  );
}
