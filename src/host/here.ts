import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failure } from '../workflows/failures.js';
import { captureAfter, OUTPUT_BYTES } from './capture.js';
import type { Output } from './host.js';
import type { Script } from './shell.js';

export interface HereOptions {
  /** Files under `$CREDENTIALS_DIRECTORY`, by name. */
  secrets?: Record<string, Buffer>;
  limitSeconds: number;
  /** Its abort ends the script; the reason is thrown once no process of it is left. */
  signal?: AbortSignal;
  /** Is told each piece of what it writes to stderr, as it comes. */
  said?: (text: string) => void;
}

const PREFIX = 'chom-here-';
/** So long has restic to take its lock away. */
const GRACE_SECONDS = 60;

/**
 * Runs a script on CHOM's own machine, for what no server may do. It gets its secrets as files of ours alone, which are gone
 * with it. It ends with this process, however that ends: by SIGINT, at which restic takes its lock away.
 * Failures: TimedOut; CommandFailed (a signal of somebody else's ended it).
 */
export async function runHere(
  script: Script,
  { secrets = {}, limitSeconds, signal, said }: HereOptions,
): Promise<Output> {
  signal?.throwIfAborted();
  await removeAbandoned();
  const began = Date.now();
  const directory = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  try {
    for (const [name, bytes] of Object.entries({ ...secrets, script: script.script })) {
      await writeFile(join(directory, name), bytes, { mode: 0o600 });
    }
    const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', directory, String(GRACE_SECONDS)], {
      // A group of its own, which the supervisor ends.
      detached: true,
      cwd: directory,
      env: environment(directory),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = [captureAfter(Buffer.alloc(0), OUTPUT_BYTES), captureAfter(Buffer.alloc(0), OUTPUT_BYTES)];
    child.stdout.on('data', stdout.take);
    child.stderr.on('data', stderr.take);
    if (said) child.stderr.on('data', (some: Buffer) => said(some.toString()));
    const end = () => child.stdin.destroy();
    child.stdin.on('error', end);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end();
    }, limitSeconds * 1000);
    signal?.addEventListener('abort', end, { once: true });
    const [exit, killed] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (...ended) => resolve(ended));
    }).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    });
    signal?.throwIfAborted();
    if (late) throw failure('TimedOut', `What ran on CHOM's own machine was ended after ${limitSeconds} s`);
    if (exit === null) throw failure('CommandFailed', `What ran on CHOM's own machine was ended by ${killed}`);
    const text = (of: typeof stdout) => (of.bytes() ?? Buffer.alloc(0)).toString();
    return {
      exit,
      stdout: text(stdout),
      stderr: text(stderr),
      already: false,
      milliseconds: Date.now() - began,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Its standard input ends with the process that started it: then the group is told. `read` is the shell's own, so that nothing
 * of the watcher outlives it. A script in the foreground, unlike one in the background, may be told by SIGINT.
 */
const SUPERVISOR = `directory=$1
exec 3<&0 </dev/null
(
  read -r nothing <&3
  kill -INT -$$
  sleep "$2"
  rm -rf "$directory"
  kill -KILL -$$
) >/dev/null 2>&1 &
trap : INT
sh -c 'trap "exit 130" INT; . "$1"' sh "$directory/script" 3<&-
code=$?
trap '' TERM
kill -TERM -$$ 2>/dev/null
rm -rf "$directory"
exit $code`;

/** Nothing that would have restic or ssh use another login, or tell them what is CHOM's alone. */
function environment(directory: string): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) => !/^(CHOM|TEMPORAL|RESTIC|AWS|SSH)_/.test(name));
  return { ...Object.fromEntries(passed), LC_ALL: 'C', CREDENTIALS_DIRECTORY: directory };
}

/** What the death of the whole machine left there. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1] ?? NaN);
    if (!Number.isSafeInteger(pid) || isAlive(pid)) continue;
    const path = join(tmpdir(), name);
    const about = await stat(path).catch(() => null);
    // The supervisor of a worker that died just now removes it itself.
    if (about && Date.now() - about.mtimeMs > 2 * GRACE_SECONDS * 1000) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
