import { z } from 'zod';
import { failure } from '../workflows/failures.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { resticCredentials, type RepositoryAccess } from './restic.js';
import { guardedRestic } from './restic-guard.js';
import { restoreBox } from './restore-box.js';
import { restorePlaces } from './restore-places.js';
import { sh, type Script } from './shell.js';

/** A backup that is to be restored, as the inventory knows it, and for whom. */
export interface RestoreOrder {
  /** Into which site, and its uid on this server. */
  site: string;
  uid: number;
  /** Of the restore. */
  operation: string;
  /** Full ids of the backup's snapshots. */
  manifest: string;
  files: string | null;
  database: string | null;
  /** As recorded when the backup was made. */
  manifestSha256: string;
}

/** A builder's job as src/activities/host-step.ts takes it. */
export interface RestoreChange {
  check: Script;
  act: Script;
  properties?: string[];
  secrets?: Record<string, Buffer>;
}

const count = z.int().min(0);

/** What a restore needs of a manifest; the lists of tables stay on the server. */
const facts = z.object({
  format: z.literal(1),
  /** Of the backup. */
  operation: z.string(),
  site: z.string().regex(/^[a-z][a-z0-9]{0,11}$/),
  database: z
    .object({
      bytes: count,
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      rows: count,
      tables: count,
      // They become SQL.
      charset: z.string().regex(/^\w+$/),
      collation: z.string().regex(/^\w+$/),
    })
    .nullable(),
  files: z.object({ files: count, directories: count, links: count, bytes: count }).nullable(),
});

export type RestoreFacts = z.infer<typeof facts>;

/**
 * Brings the manifest of a backup onto the server, for the steps that compare with it, and prints what
 * `parseManifest` reads. Exit codes: notReadBack (it is not the one that was recorded), diskFull, restic's own.
 */
export function fetchManifest(order: RestoreOrder, access: RepositoryAccess): RestoreChange {
  const { site, operation, manifest, manifestSha256 } = order;
  const journal = `/var/lib/${restorePlaces(site, operation).journal}`;
  const file = `${journal}/manifest.json`;
  const print = sh`sed '/^,"contents":/,$d' ${file} && echo '}'`;
  const isSo = sh`[ "$(sha256sum <${file} 2>/dev/null)" = ${`${manifestSha256}  -`} ]`;
  return {
    check: sh`${isSo} || exit 1
${print}`,
    act: sh`umask 077
${guardedRestic(access, { cache: paths.resticCache(site) })} --no-lock dump ${manifest} /manifest.json >${`${file}.new`} || {
  code=$?
  ${outOfSpace(journal)}
  exit $code
}
mv -fT ${`${file}.new`} ${file} && sync ${file} ${journal} || exit ${EXIT.diskFull}
${isSo} || {
  rm -f ${file}
  echo 'the manifest in the repository is not the one that was recorded when the backup was made' >&2
  exit ${EXIT.notReadBack}
}
${print}`,
    properties: restoreBox({ site, operation, repository: localRepository(access) }),
    secrets: resticCredentials(access),
  };
}

/** @throws RepositoryDamaged it says what no backup of CHOM's says */
export function parseManifest(stdout: string): RestoreFacts {
  try {
    return facts.parse(JSON.parse(stdout));
  } catch {
    throw failure('RepositoryDamaged', 'The manifest of the backup cannot be read', {
      cause: 'It was made by another version of CHOM, or the repository is damaged',
      output: stdout.slice(0, 300),
    });
  }
}

export function localRepository({ url }: Pick<RepositoryAccess, 'url'>): string | null {
  return url.startsWith('/') ? url : null;
}

/** A statement that ends the script with `diskFull` where a place has no space left. */
export function outOfSpace(place: string): Script {
  return sh`if [ "$(df -P -k ${place} | awk 'NR == 2 { print $4 }')" -lt 4096 ]; then
    echo ${`no space is left for ${place}`} >&2
    exit ${EXIT.diskFull}
  fi`;
}
