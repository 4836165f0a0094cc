import { type ChildProcess, spawn } from 'node:child_process';
import { checkRun } from '../client/documents.js';
import { PRODUCT } from './product.js';

/** What a command gave back. */
export interface Ran {
  /** Null after a signal. */
  exit: number | null;
  stdout: string;
  stderr: string;
  /** The one document of `--json`; undefined when stdout holds none. */
  json: Document | undefined;
}

/** A JSON document of the command line. */
export type Document = Record<string, unknown> & {
  operation?: string;
  status?: string;
  warnings?: string[];
  error?: { type: string; message: string; cause: string | null; next: string | null } | null;
  site?: { id: string; domain: string; status: string };
  /** The first login of a WordPress. */
  admin?: { user: string; password: string };
  certificate?: { notAfter: string; serial: string; fingerprint: string; names: string[] } | null;
};

/** A command that was left running. */
export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ran>;
  /** What it has written so far. */
  said(): { stdout: string; stderr: string };
  /** Sends a signal and waits until it has ended. */
  stop(signal?: NodeJS.Signals): Promise<Ran>;
}

/** The built command line, as a process of its own. */
export interface Chom {
  (...words: string[]): Promise<Ran>;
  /** The same; throws with what it said unless it succeeds. */
  must(...words: string[]): Promise<Ran>;
  start(...words: string[]): Running;
  /** On a terminal of its own, whose input is the process's standard input; all that it says is in `stdout`. */
  startOnTerminal(...words: string[]): Running;
  /** The same with more of an environment; undefined takes a variable away. */
  within(more: NodeJS.ProcessEnv): Chom;
}

/** `started` is told of each process, so that whoever owns the rig can end it. */
export function chomCommand(environment: NodeJS.ProcessEnv, started: (running: Running) => void): Chom {
  const known = (child: ChildProcess, words: readonly string[] = []): Running => {
    const running = follow(child, (ran) => checkRun(words, ran, environment));
    started(running);
    return running;
  };
  const start = (...words: string[]): Running => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    return known(spawn(process.execPath, [PRODUCT.chom, ...words], { env: environment, stdio: [...stdio] }), words);
  };
  const startOnTerminal = (...words: string[]): Running => {
    const command = [process.execPath, PRODUCT.chom, ...words].map((word) => `'${word}'`).join(' ');
    return known(spawn('script', ['-qec', command, '/dev/null'], { env: { ...environment, TERM: 'xterm' } }));
  };
  const call = async (...words: string[]): Promise<Ran> => await start(...words).ended;
  return Object.assign(call, {
    start,
    startOnTerminal,
    async must(...words: string[]) {
      const ran = await call(...words);
      if (ran.exit !== 0) throw new Error(`chom ${words.join(' ')} ended with ${ran.exit}:\n${ran.stderr}`);
      return ran;
    },
    within: (more: NodeJS.ProcessEnv) => chomCommand({ ...environment, ...more }, started),
  });
}

function follow(child: ChildProcess, check: (ran: Pick<Ran, 'exit' | 'stdout'>) => void): Running {
  const heard = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (heard.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (heard.stderr += text));
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit) => {
      try {
        check({ exit, ...heard });
        resolve({ exit, ...heard, json: document(heard.stdout) });
      } catch (error) {
        reject(error as Error);
      }
    });
  });
  return {
    process: child,
    ended,
    said: () => ({ ...heard }),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return await ended;
    },
  };
}

function document(text: string): Document | undefined {
  try {
    return JSON.parse(text) as Document;
  } catch {
    return undefined;
  }
}
