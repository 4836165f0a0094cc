import { currentKey, listKeys, removePassword } from '../host/restic-keys.js';
import { expectRestic, resticFailure } from '../host/restic-output.js';
import { failure } from '../workflows/failures.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import type { OpenRepository } from './repository-access.js';
import { keeperOf } from './repository-keeper.js';

/** Of two attempts that each added it, there are two. */
const MOST = 5;

/**
 * Sees to it that a password opens a repository no more, from where backups are removed, by the one of `open`, which stays. None
 * is no error. @throws Bug it is that one; what restic ends with
 */
export async function removePasswordOf(
  deps: Deps,
  step: StepContext,
  open: OpenRepository,
  { password, site, server, domain }: { password: Buffer; site: string; server: string; domain: string },
): Promise<void> {
  if (password.equals(open.access.password)) throw failure('Bug', 'The password in use was to be removed');
  const what = `Removing a password of the repository of ${domain}`;
  const about = { what, storage: open.storage.name };
  const keeper = await keeperOf(deps, step, open, { site, server });
  const by = { ...open, access: { ...open.access, password } };
  for (let n = 1; n <= MOST; n += 1) {
    const opened = await keeperOf(deps, step, by, { site, server });
    const listed = await opened.read(listKeys(opened.reach));
    if (listed.exit !== 0 && resticFailure(listed) === 'WrongPassword') return;
    const id = currentKey(expectRestic(listed, keeper, about).stdout);
    if (id === null) return;
    expectRestic(await keeper.job(`remove-password-${n}`, removePassword(keeper.reach, id)), keeper, about);
  }
  throw failure('CommandFailed', `${what} failed: it opens it still`, { server: keeper.name });
}
