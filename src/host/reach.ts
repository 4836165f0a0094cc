import { paths } from './paths.js';
import { repositoryName, repositoryUrl, resticCredentials, type RepositoryAccess } from './restic.js';
import { guardedRestic } from './restic-guard.js';
import { sh, type Script } from './shell.js';
import { asOwner } from './storage-host.js';

/**
 * How a script that maintains a repository gets into it. It finds two functions: `restic`, which the sub-command follows,
 * and `bytes`, which prints what all files of the repository take up. What it writes into `$limit` ends a restic on a server,
 * where nobody else would if the connection is lost.
 */
export interface Reach {
  /** For a script that changes nothing. */
  reading(script: Script): Script;
  /** For a job. */
  changing(script: Script): Script;
  /** Files that it needs under `$CREDENTIALS_DIRECTORY`, by name; reading on a server it needs none. */
  secrets: Record<string, Buffer>;
}

/** A repository where its files lie: the storage's directory, and by what it goes there. */
export interface OnDisk {
  path: string;
  name: string;
}

/** As whoever owns the files, on the server that keeps them. */
export function onDisk({ path, name }: OnDisk, password: Buffer): Reach {
  const directory = `${path}/${repositoryName(name)}`;
  // A shell's own printf gives restic the password: no argument, no environment, and no file that its user may not read.
  const within = (script: Script) =>
    asOwner(
      directory,
      sh`IFS= read -r password || [ -n "$password" ] || exit 1
limit=
restic() { printf '%s\n' "$password" | $limit ${paths.restic} --repo . --json --no-cache "$@"; }
bytes() { du -sb . | cut -f 1; }
${script}`,
    );
  return {
    reading: (script) => sh`printf '%s\n' ${password} | {
${within(script)}
}`,
    changing: (script) => sh`${within(script)} <"$CREDENTIALS_DIRECTORY/password"`,
    secrets: { password },
  };
}

/** Where restic alone gets there, from CHOM's own machine: its program there, and a directory for its cache. */
export function overNetwork(
  access: RepositoryAccess,
  name: string,
  { program, cache }: { program: string; cache: string },
): Reach {
  const own = { ...access, url: repositoryUrl(access.url, name) };
  // Of each kind of file restic says how many there are and what they take up, 1.234 MiB, and no more exactly (0.17 on).
  const within = (script: Script) => sh`restic() { ${guardedRestic(own, { program, cache })} "$@"; }
bytes() { restic --no-lock stats --mode debug 2>&1 >/dev/null | perl -e ${SUM}; }
${script}`;
  return { reading: within, changing: within, secrets: resticCredentials(own) };
}

const SUM = `my %unit = (B => 1, KiB => 1 << 10, MiB => 1 << 20, GiB => 1 << 30, TiB => 1 << 40);
my ($sum, $found);
while (<STDIN>) { if (/^Total Size: ([0-9.]+) (\\w+)$/) { $sum += $1 * $unit{$2}; $found++ } }
printf "%d\\n", $sum if $found;`;
