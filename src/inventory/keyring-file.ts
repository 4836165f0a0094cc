import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import { Keyring, type KeyringObject } from './keyring.js';
import { sealToRecovery } from './recovery.js';

/** Where the keyring lies in CHOM's data directory. */
export function keyringFile(directory: string): string {
  return join(directory, 'keyring.json');
}

/**
 * Reads `keyring.json`, or makes it with one new key; two processes that make it at once end with the same one.
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
  return Keyring.fromObject(await read(file));
}

/** Null when there is none. @throws Forbidden, InvalidInput as `openKeyring` */
export async function readKeyring(directory: string): Promise<Keyring | null> {
  const held = await read(keyringFile(directory));
  return held ? Keyring.fromObject(held) : null;
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
    return Keyring.fromObject({ ...object, recovery: publicKey });
  });
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

/** Two that change the file at once would lose what one of them wrote. */
async function alone<Result>(file: string, fn: () => Promise<Result>): Promise<Result> {
  const lock = `${file}.lock`;
  const handle = await open(lock, 'wx', 0o600).catch((error: unknown) => {
    throw failure('Conflict', `The keyring ${file} is being changed by another process`, {
      cause: `${lock} cannot be made: ${codeOf(error)}`,
      next: `if no other process is at it, remove ${lock}`,
    });
  });
  try {
    return await fn();
  } finally {
    await handle.close();
    await unlink(lock);
  }
}

async function read(file: string): Promise<unknown> {
  // O_NOFOLLOW, and the mode of what was opened: not that of what a link points to by then.
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw failure('InvalidInput', `The keyring ${file} cannot be opened`, { cause: codeOf(error) });
  });
  if (!handle) return null;
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) {
      throw failure('Forbidden', `The keyring ${file} can be read by others than its owner`, {
        cause: `its mode is ${(mode & 0o777).toString(8).padStart(4, '0')}`,
        next: `chmod 600 ${file}, and make new keys if others may have read it`,
      });
    }
    return parse(await handle.readFile('utf8'));
  } finally {
    await handle.close();
  }
}

/** JSON's own error would quote the text, which holds keys. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Written aside (0600, O_EXCL) and fsynced; then linked, which loses against one that is there, or renamed over it. */
async function write(file: string, object: KeyringObject, how: 'new' | 'replace'): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    const handle = await open(aside, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(object, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (how === 'replace') await rename(aside, file);
    else await link(aside, file).catch(unlessThere);
  } catch (error) {
    throw failure('InventoryUnavailable', `The keyring ${file} cannot be written`, { cause: codeOf(error) });
  } finally {
    await rm(aside, { force: true });
  }
  const parent = await open(join(file, '..'), constants.O_RDONLY);
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}

function codeOf(error: unknown): string {
  return String(Reflect.get(Object(error), 'code'));
}
