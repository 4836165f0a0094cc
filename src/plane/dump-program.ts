import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, open, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { failure } from '../workflows/failures.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** So much of what a program says is told. */
const SAID = 2000;

/** The first program of one of these names on PATH, then in `also`, that will do; null when there is none. */
export async function programOnPath(
  names: readonly string[],
  environment: Environment,
  { also = [], accept = async () => true }: { also?: string[]; accept?: (path: string) => Promise<boolean> } = {},
): Promise<string | null> {
  for (const directory of [...(environment['PATH'] ?? '').split(delimiter).filter(Boolean), ...also]) {
    for (const path of names.map((name) => join(directory, name))) {
      const runs = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (runs && (await accept(path).catch(() => false))) return path;
    }
  }
  return null;
}

/** Where Debian keeps PostgreSQL's programs, the newest version first. */
export async function postgresDirectories(): Promise<string[]> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => []);
  const newest = versions.toSorted((a, b) => Number(b) - Number(a));
  return newest.map((version) => join('/usr/lib/postgresql', version, 'bin'));
}

export interface ProgramRun {
  /** No secrets: all users see them. */
  words: readonly string[];
  environment: Environment;
  /** More of an environment: names of files, never secrets. */
  more?: Record<string, string>;
  /** What it reads. */
  from?: string;
  /** What it writes goes there, a new file (0600); without it, it is returned. */
  to?: string;
}

/** Runs a program to its end and returns what it wrote. @throws CommandFailed with what it said */
export async function runProgram(path: string, { words, environment, more, from, to }: ProgramRun): Promise<string> {
  const input = from === undefined ? null : await open(from, 'r');
  const output = to === undefined ? null : await open(to, 'wx', 0o600);
  try {
    const child = spawn(path, words, {
      env: { PATH: environment['PATH'], HOME: environment['HOME'], LC_ALL: 'C.UTF-8', ...more },
      stdio: [input?.fd ?? 'ignore', output?.fd ?? 'pipe', 'pipe'],
    });
    let [wrote, said] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (wrote += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-SAID)));
    const exit = await new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => resolve(String(code ?? signal)));
    });
    await output?.sync();
    if (exit === '0') return wrote;
    throw failure('CommandFailed', `${path} ended with ${exit}`, {
      cause: said.trim().split('\n').at(-1) ?? '',
      output: said,
    });
  } finally {
    await input?.close();
    await output?.close();
  }
}
