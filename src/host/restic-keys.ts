import { failure } from '../workflows/failures.js';
import type { Maintenance } from './maintenance.js';
import type { Reach } from './reach.js';
import { restic, type RepositoryAccess } from './restic.js';
import { sh, type Script } from './shell.js';

const LIMIT_SECONDS = 60;
/** How long a lock is waited for that is no dead process's. */
const LOCK_SECONDS = 60;

type Opened = Pick<RepositoryAccess, 'url' | 'login' | 'ca'>;

/** Whether the password among the credentials opens it. Changes and locks nothing. Exit codes of restic. */
export function opensRepository(access: Opened): Script {
  return sh`${restic(access, { limitSeconds: LIMIT_SECONDS })} --no-lock cat config >/dev/null`;
}

/**
 * Lets a second password open a repository: the credential `next-password`. Made twice it is there twice, which `currentKey`
 * reckons with. Exit codes of restic.
 */
export function addPassword(access: Opened): { check: Script; act: Script } {
  const command = restic(access, { limitSeconds: LIMIT_SECONDS, waitSeconds: LOCK_SECONDS });
  const next = sh`"$CREDENTIALS_DIRECTORY/next-password"`;
  return {
    check: sh`${command} --no-lock --password-file ${next} cat config >/dev/null 2>&1`,
    act: sh`${command} key add --new-password-file ${next} >&2`,
  };
}

/** Prints restic's list of what opens it; that of the password at hand is marked. Exit codes of restic; 12: it opens nothing. */
export function listKeys(reach: Reach): Script {
  return reach.reading(sh`restic --no-lock key list`);
}

/** The id of the key that the password at hand is; null when it is none. @throws CommandFailed it is not what listKeys prints */
export function currentKey(output: string): string | null {
  const [, list = ''] = /(\[.*\])/s.exec(output) ?? [];
  try {
    const keys = JSON.parse(list) as { current?: unknown; id?: unknown }[];
    const id = keys.find(({ current }) => current === true)?.id;
    if (id === undefined) return null;
    if (typeof id === 'string' && /^[0-9a-f]{8,64}$/.test(id)) return id;
  } catch {
    // As any other text.
  }
  throw failure('CommandFailed', 'The list of what opens the repository cannot be read', {
    cause: 'restic wrote something else',
  });
}

/** A password opens it no more, by the id of its key; never the one at hand. Exit codes of restic. */
export function removePassword({ changing }: Reach, id: string): Maintenance {
  if (!/^[0-9a-f]{8,64}$/.test(id)) throw failure('Bug', `${id} is no key of a repository`);
  return {
    check: changing(sh`all=$(restic --no-lock key list) || exit 1
case $all in *${`"${id}`}*) exit 1 ;; esac`),
    act: changing(sh`restic unlock >&2 || exit $?
restic --retry-lock ${`${LOCK_SECONDS}s`} key remove ${id} >&2`),
    properties: ['KillSignal=SIGINT'],
  };
}
