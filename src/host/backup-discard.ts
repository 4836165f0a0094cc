import { backupBox } from './backup-unit.js';
import { restic, resticCredentials, type RepositoryAccess } from './restic.js';
import { sh, type Script } from './shell.js';

/**
 * Takes away what an operation that came to nothing left in the repository. Where the storage is append-only or away, it
 * stays: no record names it, so nothing ever restores from it or counts it. Never fails.
 */
export function discardSnapshots(
  { site, operation }: { site: string; operation: string },
  access: RepositoryAccess,
): { act: Script; properties: string[]; secrets: Record<string, Buffer> } {
  // Not the 15 minutes for which restic tries by itself: somebody waits for the end of the operation.
  const begin = restic(access, { waitSeconds: 30, limitSeconds: 60 });
  return {
    act: sh`ids=$(${begin} snapshots --no-lock --tag ${`operation=${operation}`} | grep -oE '"id":"[0-9a-f]{64}"' | cut -d '"' -f 4)
[ -z "$ids" ] || ${begin} forget $ids >/dev/null || echo "left in the repository:" $ids
exit 0`,
    properties: backupBox({ site, operation, repository: access.url.startsWith('/') ? access.url : null }),
    secrets: resticCredentials(access),
  };
}
