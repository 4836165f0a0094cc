import type { LabHost } from '../../lab/index.js';
import type { FailureType } from '../../src/workflows/failures.js';
import { sh } from '../../src/host/shell.js';
import { ask } from './on-host.js';

/** How a storage fails while a backup into it is at work, and what the operator is told. */
export interface FailingStorage {
  kind: 'rest' | 'sftp';
  /** Completes "a storage that …". */
  what: string;
  during: 'database' | 'files';
  type: FailureType;
  said: RegExp;
  /** A lock of the backup that died stays there until the next one: nobody can take it away meanwhile. */
  locked: boolean;
  hurt(store: LabHost): Promise<unknown>;
  heal(store: LabHost): Promise<unknown>;
}

const stop = async (store: LabHost) => await ask(store, sh`systemctl stop rest-server`);
const start = async (store: LabHost) => await ask(store, sh`systemctl start rest-server`);
const full = {
  type: 'StorageFull',
  hurt: (store: LabHost) => store.fill(),
  heal: (store: LabHost) => store.unfill(),
} as const;
const GONE = { type: 'StorageUnreachable', locked: true } as const;

export const FAILING_STORAGES: readonly FailingStorage[] = [
  {
    ...{ kind: 'rest', what: 'ends in the middle of the dump', during: 'database', ...GONE },
    ...{ said: /connection refused/, hurt: stop, heal: start },
  },
  {
    ...{
      kind: 'rest',
      what: 'falls silent among the files',
      during: 'files',
      ...GONE,
      said: /request timeout|i\/o timeout/,
    },
    ...{ hurt: (store) => store.cut(), heal: (store) => store.mend() },
  },
  { ...{ kind: 'rest', what: 'is full', during: 'files', ...full, said: /507|no space left/i, locked: false } },
  {
    ...{
      kind: 'sftp',
      what: 'ends among the files',
      during: 'files',
      ...GONE,
      // Of sshd's end, its session's and the connection's, ssh tells whichever it sees first.
      said: /ssh command exited|Connection (closed|reset|refused)/i,
    },
    hurt: async (store) => await ask(store, sh`systemctl stop ssh.socket ssh 2>/dev/null; pkill -KILL -u store; true`),
    heal: async (store) => await ask(store, sh`systemctl start ssh`),
  },
  { ...{ kind: 'sftp', what: 'is full', during: 'files', ...full, said: /no space left/i, locked: false } },
];

/** In the place of restic: one that reads back from a storage that is not there. */
export const READS_NOTHING_BACK = `#!/bin/sh
case " $* " in *' dump '*)
  printf 'rest:http://127.0.0.1:9/x' >/tmp/nowhere
  export RESTIC_REPOSITORY_FILE=/tmp/nowhere ;;
esac
exec /usr/bin/restic "$@"
`;
