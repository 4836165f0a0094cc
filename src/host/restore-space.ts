import { failure } from '../workflows/failures.js';
import type { RestoreFacts } from './restore-manifest.js';
import { sh, type Script } from './shell.js';

/** Free space of the filesystem that a directory lies on. */
export interface Space {
  place: string;
  /** Two places of one device share what is free. */
  device: string;
  bytes: number;
  /** Null where the filesystem has no bound. */
  files: number | null;
}

/** Left beside what is restored, so that neither logs nor other sites run into a full disk. */
const SPARE_BYTES = 256 * 1024 * 1024;
const SPARE_FILES = 1000;
/** Tables with their indexes and MariaDB's logs of writing them, measured by the dump. */
const DATABASE_FACTOR = 2;

/** Prints what `parseSpace` reads: first of the sites' files, then of the databases. */
export function askSpace(): Script {
  return sh`export LC_ALL=C
data=$(mariadb -N -B -e 'SELECT @@datadir' 2>/dev/null)
for place in /srv/chom "\${data:-/var/lib/mysql}"; do
  echo "$(df -P -B1 "$place" | awk 'NR == 2 { print $4 }') $(df -P -i "$place" | awk 'NR == 2 { print $2, $4 }') $(stat -c %d "$place") $place"
done`;
}

/** @throws Bug it is not what `askSpace` prints */
export function parseSpace(output: string): { files: Space; databases: Space } {
  const [files, databases] = output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [bytes = '', inodes = '', free = '', device = '', place = ''] = line.split(' ');
      return { place, device, bytes: Number(bytes), files: Number(inodes) > 0 ? Number(free) : null };
    });
  if (!files || !databases || ![files.bytes, databases.bytes].every(Number.isFinite)) {
    throw failure('Bug', 'The free space of a server could not be read', { output: output.slice(0, 300) });
  }
  return { files, databases };
}

/** An empty MariaDB: its system tables and logs. */
const EMPTY_DATABASE_BYTES = 256 * 1024 * 1024;
/** The dump, a second time while it is imported, and its tables. */
const SCRATCH_FACTOR = 2 + DATABASE_FACTOR;

/**
 * Whether there is room to try a backup out: all of it, its database too, lies where the sites' files do.
 * @throws NoRoom naming what is needed and what is free
 */
export function expectScratchRoom(need: Pick<RestoreFacts, 'files' | 'database'>, space: Space, server: string): void {
  const database = need.database ? need.database.bytes * SCRATCH_FACTOR + EMPTY_DATABASE_BYTES : 0;
  const cause = 'What is tried out lies beside the site until it was compared';
  expectFree(
    space,
    { bytes: (need.files?.bytes ?? 0) + database, entries: entriesOf(need), what: 'The verification', cause },
    server,
  );
}

/**
 * Whether there is room for a restore beside what is there; before anything of it is written.
 * @throws NoRoom naming what is needed and what is free
 */
export function expectRoom(
  need: Pick<RestoreFacts, 'files' | 'database'>,
  { files, databases }: { files: Space; databases: Space },
  server: string,
): void {
  const forFiles = need.files?.bytes ?? 0;
  const forDatabase = (need.database?.bytes ?? 0) * DATABASE_FACTOR;
  const shared = files.device === databases.device;
  const wanted: [Space, number][] = shared
    ? [[files, forFiles + forDatabase]]
    : [
        ...(need.files ? [[files, forFiles] as [Space, number]] : []),
        ...(need.database ? [[databases, forDatabase] as [Space, number]] : []),
      ];
  const cause = 'What is restored lies beside what is there until the undo window ends';
  const what = 'The restore';
  for (const [space, bytes] of wanted) {
    const entries = space === files ? entriesOf(need) : 0;
    expectFree(space, { bytes, entries, what, cause }, server);
  }
}

interface Need {
  bytes: number;
  entries: number;
  what: string;
  cause: string;
}

function expectFree(space: Space, { bytes, entries, ...told }: Need, server: string): void {
  const wanted = bytes + SPARE_BYTES;
  if (wanted > space.bytes) refuse(server, space, { ...told, needed: mebibytes(wanted), free: mebibytes(space.bytes) });
  if (space.files === null || entries <= space.files) return;
  refuse(server, space, { ...told, needed: `${entries} files`, free: `${space.files} files` });
}

function entriesOf({ files }: Pick<RestoreFacts, 'files'>): number {
  return files ? files.files + files.directories + files.links + SPARE_FILES : 0;
}

interface Refusal {
  what: string;
  needed: string;
  free: string;
  cause: string;
}

function refuse(server: string, { place }: Space, { what, needed, free, cause }: Refusal): never {
  throw failure('NoRoom', `${what} needs ${needed} on ${server} for ${place}, where ${free} are free`, {
    server,
    cause,
    next: `df -h ${place} (on ${server})`,
  });
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
