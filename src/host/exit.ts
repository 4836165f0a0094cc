import { failure, type FailureType } from '../workflows/failures.js';
import type { Output } from './host.js';

/** So much of an output goes into a failure: enough for an operator, small enough for a history. */
const TAIL_BYTES = 2_000;

/** The last lines of an output. */
export function tail(text: string): string {
  const trimmed = text.trimEnd();
  return trimmed.length <= TAIL_BYTES ? trimmed : `…${trimmed.slice(-TAIL_BYTES)}`;
}

/** ENOSPC as the C library and apt word it with LC_ALL=C. */
export function isDiskFull(stderr: string): boolean {
  return /No space left on device|Disk quota exceeded|enough free space in \/var\/cache\/apt/.test(stderr);
}

/** apt and dpkg (Debian 12 and 13) when another of them runs. */
function isPackageManagerBusy(stderr: string): boolean {
  return /Could not get lock \/var\/(lib|cache)\/|Unable to acquire the dpkg|dpkg frontend lock (was|is) locked/.test(
    stderr,
  );
}

/**
 * The output, where the exit code is 0. Otherwise a failure: what the builder says that this code means (`exits`), a
 * full disk or a busy package manager by their words, or CommandFailed; with the last lines of stderr.
 */
export function expectOk(
  output: Output,
  host: { readonly name: string },
  what: string,
  exits: Readonly<Record<number, FailureType>> = {},
): Output {
  if (output.exit === 0) return output;
  const server = host.name;
  const said = output.stderr.trim() === '' ? output.stdout : output.stderr;
  const [last = ''] = said.trimEnd().split('\n').slice(-1);
  const reason = last === '' ? `exit code ${output.exit}` : last.slice(0, 300);
  const known = exits[output.exit];
  const type =
    known ?? (isDiskFull(said) ? 'DiskFull' : isPackageManagerBusy(said) ? 'PackageManagerBusy' : 'CommandFailed');
  const there = THERE[type];
  throw failure(type, `${what} failed on ${server}: ${reason}`, {
    server,
    cause: CAUSES[type] ?? `A program ended with exit code ${output.exit}`,
    next: there === undefined ? `chom server show ${server}` : `${there} (on ${server})`,
    output: tail(said),
  });
}

const CAUSES: Partial<Record<FailureType, string>> = {
  DiskFull: 'A disk of the server is full',
  PackageManagerBusy: 'Another apt or dpkg, perhaps unattended-upgrades, holds the lock',
  DatabaseLocked: 'Somebody else holds a lock on it, or changes its tables',
  DatabaseBroken: 'A crash or a full disk, or what a view reads is gone',
};

/** What an operator looks at on the server itself. */
const THERE: Partial<Record<FailureType, string>> = {
  DiskFull: 'df -h',
  DatabaseLocked: "mariadb -e 'SHOW FULL PROCESSLIST'",
  DatabaseBroken: 'mariadb-check --all-databases',
};
