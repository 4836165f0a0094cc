import { randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { link, open, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import type { KeyringObject, Reread } from './keyring.js';

/** A process looks so often whether its keyring has changed. */
const LOOK_MS = 1000;

/** Two that change the file at once would lose what one of them wrote. */
export async function alone<Result>(file: string, fn: () => Promise<Result>): Promise<Result> {
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

/** What the file holds; null when there is none. @throws Forbidden others than its owner may read it; InvalidInput */
export async function read(file: string): Promise<unknown> {
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

/**
 * Follows a file that others replace: without a wait, for whoever seals or opens waits for nothing. One that cannot be read, or
 * that others may read, is as if it had not changed.
 */
export function rereading(file: string, parsed: (text: unknown) => KeyringObject): Reread {
  let [looked, seen] = [0, ''];
  return (now) => {
    if (!now && Date.now() - looked < LOOK_MS) return null;
    looked = Date.now();
    try {
      const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        const { mode, ino, mtimeMs, size } = fstatSync(descriptor);
        const found = `${ino}/${mtimeMs}/${size}`;
        if (found === seen || (mode & 0o077) !== 0) return null;
        const object = parsed(parse(readFileSync(descriptor, 'utf8')));
        seen = found;
        return object;
      } finally {
        closeSync(descriptor);
      }
    } catch {
      return null;
    }
  };
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
export async function write(file: string, object: KeyringObject, how: 'new' | 'replace'): Promise<void> {
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

/** Of a failed call of the system. */
export function codeOf(error: unknown): string {
  return String(Reflect.get(Object(error), 'code'));
}
