import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import { Keyring, type KeyringObject } from './keyring.js';
import { alone, codeOf, read, rereading, write } from './keyring-disk.js';
import { sealToRecovery } from './recovery.js';

/** Where the keyring lies in CHOM's data directory. */
export function keyringFile(directory: string): string {
  return join(directory, 'keyring.json');
}

/**
 * Reads `keyring.json`, or makes it with one new key; two processes that make it at once end with the same one. What is
 * returned follows the file.
 * @throws Forbidden others than its owner may read it; `InvalidInput` it is damaged or cannot be read;
 * `InventoryUnavailable` it cannot be written
 */
export async function openKeyring(directory: string): Promise<Keyring> {
  const file = keyringFile(directory);
  const held = await readKeyring(directory);
  if (held) return held;
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw failure('InventoryUnavailable', `The directory ${directory} cannot be made`, { cause: codeOf(error) });
  });
  await write(file, Keyring.generate(), 'new');
  return opened(file, await read(file));
}

/** Null when there is none. @throws Forbidden, InvalidInput as `openKeyring` */
export async function readKeyring(directory: string): Promise<Keyring | null> {
  const file = keyringFile(directory);
  const held = await read(file);
  return held ? opened(file, held) : null;
}

/**
 * Keeps the public half of the recovery key. Its private half is printed once, so that a second one is refused;
 * `first` does so, when nothing is in the way any more and nothing is written yet.
 * @throws Conflict when there is one already, or another process is changing the keyring; `NotFound` no keyring
 */
export async function setRecoveryKey(directory: string, publicKey: string, first = () => {}): Promise<Keyring> {
  const file = keyringFile(directory);
  return await alone(file, async () => {
    const held = await read(file);
    if (!held) throw failure('NotFound', `There is no keyring in ${directory}`);
    const object = Keyring.parse(held);
    if (object.recovery !== undefined) throw failure('Conflict', `The keyring ${file} has a recovery key already`);
    first();
    await write(file, { ...object, recovery: publicKey }, 'replace');
    return opened(file, { ...object, recovery: publicKey });
  });
}

/**
 * Changes the keyring, alone: in the file there is the one before or the one after, whatever dies. Unchanged it is not written.
 * @throws Conflict another process is changing it; `NotFound` no keyring
 */
export async function changeKeyring(
  directory: string,
  change: (object: KeyringObject) => KeyringObject,
): Promise<KeyringObject> {
  const file = keyringFile(directory);
  return await alone(file, async () => {
    const held = await read(file);
    if (!held) throw failure('NotFound', `There is no keyring in ${directory}`);
    const object = Keyring.parse(held);
    const changed = Keyring.parse(change(object));
    if (changed !== object && JSON.stringify(changed) !== JSON.stringify(object)) await write(file, changed, 'replace');
    return changed;
  });
}

function opened(file: string, object: unknown): Keyring {
  return Keyring.fromObject(object, rereading(file, Keyring.parse));
}

/**
 * Puts a keyring that was restored into a directory that has none; the same one again changes nothing.
 * @throws Conflict there is another one
 */
export async function putKeyring(directory: string, object: KeyringObject): Promise<void> {
  const file = keyringFile(directory);
  await write(file, object, 'new');
  if (JSON.stringify(await read(file)) === JSON.stringify(object)) return;
  throw failure('Conflict', `There is another keyring already: ${file}`, {
    next: 'set CHOM_HOME to an empty directory',
  });
}

/** The keyring sealed to its own recovery key: the only form in which it leaves the machine. Null without such a key. */
export async function sealedKeyring(directory: string): Promise<string | null> {
  const held = await read(keyringFile(directory));
  if (!held) throw failure('NotFound', `There is no keyring in ${directory}`);
  const object = Keyring.parse(held);
  if (object.recovery === undefined) return null;
  return sealToRecovery(object.recovery, Buffer.from(JSON.stringify(object)));
}
