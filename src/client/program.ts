import { constants } from 'node:fs';
import { access, readdir, rm } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { cacheDirectory, filledOnce } from './programs/cache.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** One way to get a program into the cache. */
export interface Source {
  /** What is done and how long it takes, for the line that the operator sees: `building … (about 3 minutes)`. */
  doing: string;
  /** Puts the program's files into the directory. Rejects when it cannot. */
  fill(directory: string): Promise<void>;
  /** A source that is only tried and of which a failure is no news, like a download where there may be no internet. */
  quiet?: boolean;
}

/** A program of somebody else that CHOM runs, and where it may come from. */
export interface Program {
  /** The executable's name, also the one looked for on PATH. */
  name: string;
  /** Environment variable with the path of the one to use. */
  setting: string;
  /** Directory in the cache: `<package>-<version>`. Programs of one package share it. */
  cached: string;
  /** Whether a program found on PATH will do. Without it PATH is not searched. */
  accept?: (path: string) => Promise<boolean>;
  sources: readonly Source[];
}

/**
 * Finds a program: its setting, PATH, the cache, and then its sources in their order, into the cache. Returns an
 * absolute path. Two processes never build the same thing at once, and a killed build leaves nothing that is used.
 *
 * Errors: `InvalidInput` when the setting names nothing that can be run, `NotFound` when no source worked.
 */
export async function findProgram(
  program: Program,
  { environment = process.env, say = sayOnStderr }: { environment?: Environment; say?: (line: string) => void } = {},
): Promise<string> {
  const set = environment[program.setting];
  if (set) {
    if (await isExecutable(set)) return resolve(set);
    throw failure('InvalidInput', `${program.setting} is ${set}, which is not a program that can be run`, {
      next: `correct ${program.setting}, or unset it`,
    });
  }
  const onPath = program.accept && (await firstOnPath(program.name, environment, program.accept));
  if (onPath) return onPath;

  const directory = join(cacheDirectory(environment), 'programs', program.cached);
  const path = join(directory, program.name);
  if (await isExecutable(path)) return path;
  const fill = (partial: string): Promise<void> => fillFromFirst(program, partial, say);
  await filledOnce(directory, fill, () => say(`${program.name}: another process is getting it, waiting`));
  if (await isExecutable(path)) return path;
  throw failure('NotFound', `${directory} holds no ${program.name}`, { next: `remove ${directory} and try again` });
}

async function fillFromFirst(program: Program, directory: string, say: (line: string) => void): Promise<void> {
  let last: unknown;
  for (const source of program.sources) {
    if (!source.quiet) say(`${program.name}: ${source.doing}`);
    try {
      await source.fill(directory);
      if (await isExecutable(join(directory, program.name))) return;
      last = new Error(`no ${program.name} came out of it`);
    } catch (error) {
      last = error;
    }
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true });
  }
  const cause = messageOf(last);
  throw failure('NotFound', `${program.name} is not on this machine and could not be got`, {
    cause,
    next: `install ${program.name}, or set ${program.setting} to its path`,
  });
}

async function firstOnPath(
  name: string,
  environment: Environment,
  accept: (path: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const directory of (environment['PATH'] ?? '').split(delimiter)) {
    const path = resolve(directory, name);
    if (directory !== '' && (await isExecutable(path)) && (await accept(path).catch(() => false))) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function sayOnStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
