import { hostname } from 'node:os';
import type { Keyring } from '../inventory/keyring.js';

/** Who works, as Temporal lists it: no secret, only ids. */
export interface WorkerIdentity {
  /** `pid@host`. */
  process: string;
  /** The installation whose inventory it has. */
  controller: string;
  /** Ids of its keys. */
  keys: string[];
}

/** What a worker calls itself, so that `chom doctor` can tell one of another installation or with other keys. */
export function workerIdentity(controller: string, { ids }: Keyring): string {
  return `${process.pid}@${hostname()} chom/${controller}/${ids.join(',')}`;
}

/** Null when it is no worker of CHOM. */
export function parseWorkerIdentity(text: string): WorkerIdentity | null {
  const [, at = '', controller = '', keys = ''] = /^(\S+) chom\/([^/]+)\/([^/]+)$/.exec(text) ?? [];
  return at === '' ? null : { process: at, controller, keys: keys.split(',') };
}
