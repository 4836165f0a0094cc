import { restic, type RepositoryAccess } from './restic.js';
import { sh, type Script } from './shell.js';

const LIMIT_SECONDS = 60;

/**
 * Makes a repository, or finds the one that is there, and prints its id. Its credentials are those of resticCredentials.
 * Exit codes of restic.
 */
export function initRepository(access: Pick<RepositoryAccess, 'url' | 'login' | 'ca'>): { check: Script; act: Script } {
  const command = restic(access, { limitSeconds: LIMIT_SECONDS });
  // Not all of its configuration, of which one part keeps chunk sizes from telling what is in it.
  const identify = sh`config=$(${command} cat config) || exit $?
printf '%s\n' "$config" | sed -n 's/.*"id": *"\([0-9a-f]\{64\}\)".*/\1/p'`;
  return {
    check: identify,
    act: sh`${command} init >&2 || exit $?
${identify}`,
  };
}

/** The id that `initRepository` printed; null when it printed none. */
export function parseRepositoryId(output: string): string | null {
  return /^[0-9a-f]{64}$/m.exec(output)?.[0] ?? null;
}
