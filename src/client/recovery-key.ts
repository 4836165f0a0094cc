import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { openKeyring, setRecoveryKey } from '../inventory/keyring-file.js';
import { createRecoveryKey } from '../inventory/recovery.js';
import { failure } from '../workflows/failures.js';
import type { Stores } from './open.js';

/** How long another process may take to write the key that it makes at this moment, in milliseconds. */
const OTHERS_TIME = 5000;

/**
 * Makes the recovery key at first use and shows its private half, once: with it, and with nothing else of CHOM, the
 * copies of keys and passwords that lie outside this controller can be opened. Of two processes at once one makes it.
 * @throws Conflict when the keyring stays locked by a process that is gone
 */
export async function makeRecoveryKey({ config, keyring }: Stores, say: (text: string) => void): Promise<void> {
  if (keyring.recovery !== undefined) return;
  const { publicKey, privateKey } = createRecoveryKey();
  try {
    // Shown before its public half is written: whoever stops in between has a key too many, and makes another one next
    // time. The other way round all copies would be sealed to a key that nobody has.
    await setRecoveryKey(config.home, publicKey, () => show(privateKey, say));
  } catch (error) {
    // Somebody else shows theirs; ours was never used.
    if (isConflict(error) && (await madeByAnother(config.home))) return;
    throw error;
  }
}

/** The private half in a file, as it was shown, with whatever stands around it. @throws InvalidInput; nothing of it is in it */
export async function readRecoveryKey(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    const cause = String(Reflect.get(Object(error), 'code'));
    throw failure('InvalidInput', `The recovery key ${file} cannot be read`, { cause });
  });
  const [key] = /CHOM-RECOVERY-PRIVATE-[\w-]{86}/.exec(text) ?? [];
  if (key !== undefined) return key;
  throw failure('InvalidInput', `The file ${file} holds no private half of a recovery key`, {
    next: 'it begins with CHOM-RECOVERY-PRIVATE-, and was shown when the key was made',
  });
}

function show(privateKey: string, say: (text: string) => void): void {
  say(
    [
      '',
      'This is the recovery key. It is shown once and kept nowhere: store it away from this machine.',
      'Should this controller be lost, it opens the copies of the keys of your servers.',
      '',
      `  ${privateKey}`,
      '',
    ].join('\n'),
  );
}

function isConflict(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === 'Conflict';
}

async function madeByAnother(home: string): Promise<boolean> {
  const deadline = Date.now() + OTHERS_TIME;
  while (Date.now() < deadline) {
    if ((await openKeyring(home)).recovery !== undefined) return true;
    await sleep(50);
  }
  return false;
}
