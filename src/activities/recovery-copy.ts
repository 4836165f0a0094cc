import { paths } from '../host/paths.js';
import { sh, writeFile, type Script } from '../host/shell.js';
import * as credentials from '../inventory/credentials.js';
import { openKeyring } from '../inventory/keyring-file.js';
import { sealToRecovery } from '../inventory/recovery.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import type { Workplace } from './workplace.js';

/** Lays a copy of a server's key down on that server, which only the recovery key opens. Returns warnings. */
export async function layDownForRecovery(
  { config, keyring }: Pick<Deps, 'config' | 'keyring'>,
  place: Workplace,
  credential: credentials.Credential,
): Promise<string[]> {
  // Read afresh: the key may have been made since this worker started.
  const { recovery } = await openKeyring(config.home);
  if (recovery === undefined) return ['There is no recovery key: the server key is kept by this controller alone'];
  const path = pathOf(credential.id);
  const content = sealToRecovery(recovery, credentials.open(credential, keyring));
  await change(place, 'recovery-copy', 'Laying down the recovery copy of the key', {
    check: sh`[ -s ${path} ]`,
    act: sh`install -d -m 0700 ${paths.recovery} && ${writeFile({ path, content, mode: '0600' })}`,
  });
  return [];
}

/** Removes the copies of keys that get in no more. */
export function removeRecoveryCopies(ids: readonly string[]): Script {
  return sh`rm -f -- ${ids.map(pathOf)}`;
}

function pathOf(credential: string): string {
  return `${paths.recovery}/${credential.replaceAll('/', '-')}`;
}
