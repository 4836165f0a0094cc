import type { Stores } from './open.js';
import { setRecoveryKey } from '../inventory/keyring-file.js';
import { createRecoveryKey } from '../inventory/recovery.js';

/**
 * Makes the recovery key at first use and shows its private half, once: with it, and with nothing else of CHOM, the
 * copies of keys and passwords that lie outside this controller can be opened.
 * @throws Conflict when another process makes it at this moment
 */
export async function makeRecoveryKey({ config, keyring }: Stores, say: (text: string) => void): Promise<void> {
  if (keyring.recovery !== undefined) return;
  const { publicKey, privateKey } = createRecoveryKey();
  await setRecoveryKey(config.home, publicKey);
  say(
    [
      '',
      'This is the recovery key. It is shown once and kept nowhere: store it away from this machine.',
      'Should this controller be lost, it opens the copies of the keys of your servers.',
      '',
      `  ${privateKey}`,
      '',
    ].join('\n'),
  );
}
