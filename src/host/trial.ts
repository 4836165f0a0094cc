import { tryOverwriting } from './overwriting.js';
import { restic, type RepositoryAccess } from './restic.js';
import { sh, type Script } from './shell.js';

const LIMIT_SECONDS = 60;

/**
 * Writes a snapshot into the repository for trying, has it deleted, and prints `access=` with what came of it. restic's own
 * exit code does not tell: of an append-only REST server forget exits 0 and the snapshot stays (0.18, seen). What S3 does not
 * let anybody delete it may let anybody write over, which is tried too. Exit codes of restic. `mark`: what this trial's snapshot is known by.
 */
export function tryDeleting(access: Pick<RepositoryAccess, 'url' | 'login' | 'ca'>, mark: string): Script {
  const command = restic(access, { limitSeconds: LIMIT_SECONDS, waitSeconds: 30 });
  const snapshots = sh`${command} snapshots --tag ${mark} | grep -o '"id":"[0-9a-f]\{64\}"' | cut -d '"' -f 4`;
  const backup = sh`${command} backup --stdin --stdin-filename trial --host chom --tag ${mark}`;
  const kept = access.login?.kind === 's3' ? tryOverwriting(access, sh`snapshots/"$id"`) : sh`echo access=append-only`;
  return sh`echo ${mark} | ${backup} >&2 || exit $?
id=$(${snapshots})
[ -n "$id" ] || { echo 'what was written cannot be read back' >&2; exit 1; }
said=$(${command} forget "$id" 2>&1)
code=$?
left=$(${snapshots} && echo read) || exit 1
case $left in
  *"$id"*)
    ${kept}
    ;;
  read) echo access=deletable ;;
  *) echo "$said" >&2; exit $code ;;
esac`;
}

export function parseAccess(output: string): 'append-only' | 'deletable' | null {
  const [, access] = /^access=(append-only|deletable)$/m.exec(output) ?? [];
  return (access as 'append-only' | 'deletable' | undefined) ?? null;
}
