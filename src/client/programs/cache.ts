import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const HEARTBEAT_MS = 5_000;
const SILENT_MS = 60_000;

/** What was made or downloaded once and can be made again: `$XDG_CACHE_HOME/chom`. */
export function cacheDirectory(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'chom');
}

/**
 * Makes `directory` exist, whole or not at all: `fill` works in a directory beside it, which is then renamed. Of
 * several processes one fills and the others wait; what a killed one left is removed. `waiting` is told once when
 * another process is at it. Rejects with what `fill` rejects with.
 */
export async function filledOnce(
  directory: string,
  fill: (partial: string) => Promise<void>,
  waiting: () => void = () => {},
): Promise<void> {
  if (await exists(directory)) return;
  await mkdir(dirname(directory), { recursive: true });
  const unlock = await lock(`${directory}.lock`, waiting);
  try {
    if (await exists(directory)) return;
    await removePartials(directory);
    const partial = `${directory}.partial-${process.pid}`;
    await mkdir(partial);
    try {
      await fill(partial);
      await rename(partial, directory).catch(async (error: unknown) => {
        if (!(await exists(directory))) throw error;
      });
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  } finally {
    await unlock();
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function removePartials(directory: string): Promise<void> {
  const prefix = `${basename(directory)}.partial-`;
  for (const name of await readdir(dirname(directory))) {
    if (!name.startsWith(prefix) || isAlive(Number(name.slice(prefix.length)))) continue;
    await rm(join(dirname(directory), name), { recursive: true, force: true });
  }
}

/**
 * Waits for a lock and gives what unlocks it. The file names its holder and is touched while held, so that a dead
 * holder is noticed on any system.
 */
export async function lock(path: string, waiting: () => void = () => {}): Promise<() => Promise<void>> {
  for (let said = false; ; said = true) {
    const file = await open(path, 'wx').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined;
      throw error;
    });
    if (file) {
      await file.writeFile(String(process.pid));
      await file.close();
      const heartbeat = setInterval(() => {
        utimes(path, new Date(), new Date()).catch(() => {});
      }, HEARTBEAT_MS);
      heartbeat.unref();
      return async () => {
        clearInterval(heartbeat);
        await rm(path, { force: true });
      };
    }
    // Two waiters may take over from the same dead holder; then both fill and one rename loses, which is harmless.
    if (await isAbandoned(path)) await rm(path, { force: true });
    else {
      if (!said) waiting();
      await sleep(250);
    }
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const file = await stat(path).catch(() => undefined);
  const text = await readFile(path, 'utf8').catch(() => '');
  if (!file) return false;
  if (Date.now() - file.mtimeMs > SILENT_MS) return true;
  return text !== '' && !isAlive(Number(text));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
