import type { Logger } from 'pino';
import type { Config } from '../config.js';
import type { Hosts } from '../host/pool.js';
import type { Inventory } from '../inventory/database.js';
import type { Keyring } from '../inventory/keyring.js';

/** What activities work with; made once by the worker. */
export interface Deps {
  inventory: Inventory;
  keyring: Keyring;
  config: Config;
  hosts: Hosts;
  /** The id of this installation: whom the claims on hosts name. */
  controller: string;
  /** Path of a restic on this machine that will do. Failures: NotFound, InvalidInput. */
  restic: () => Promise<string>;
  /** Tells operations that they have their place now. A message may get lost: they also look for themselves. */
  wake: (operations: readonly string[]) => Promise<void>;
  log: Logger;
}
