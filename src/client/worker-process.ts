import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Starts a worker as a process of its own, with the memory settings that keep it near 180 MB. It ends when its parent
 * does, however the parent ends.
 */
export function startWorker(environment: NodeJS.ProcessEnv): ChildProcess {
  const built = fileURLToPath(new URL('../worker/index.js', import.meta.url));
  // From source there is none, and the loader that runs us runs the worker too.
  const source = fileURLToPath(new URL('../worker.ts', import.meta.url));
  const entry = existsSync(built) ? [built] : ['--import', 'tsx', source];
  return spawn(process.execPath, ['--max-semi-space-size=4', '--max-old-space-size=160', ...entry], {
    env: { MALLOC_ARENA_MAX: '2', ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

/** Resolves with the exit status once the process has ended; `null` = killed by a signal. */
export async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return await new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}
