import { EXIT } from './exit-codes.js';
import { sh, type Script } from './shell.js';

/** How much an archive may hold. */
export interface ArchiveLimits {
  bytes: number;
  entries: number;
}

/**
 * Looks through a tar archive, which `archive` prints, without unpacking anything: it must be whole, hold only files,
 * directories and links, no name that leads out of the directory, and no more than the limits. Run as the site's user.
 * Prints the number of bytes. Exit codes: sourceRejected.
 */
export function inspectArchive(archive: Script, limits: ArchiveLimits): Script {
  // Fields of GNU tar's listing: mode, owner, size, date, time, name; escaped, so that each entry is one line.
  return sh`${archive} | {
  tar -t -v -f - --numeric-owner --full-time --quoting-style=escape || echo 'broken'
} | awk -v most_bytes=${limits.bytes} -v most_entries=${limits.entries} '
  function refuse(why) { print why > "/dev/stderr"; refused = 1; exit ${EXIT.sourceRejected} }
  $0 == "broken" { refuse("the archive is damaged or is no tar archive") }
  {
    type = substr($1, 1, 1)
    name = $0
    for (i = 1; i <= 5; i++) sub(/^[^ ]+ +/, "", name)
    if (type == "l") sub(/ -> .*/, "", name)
    if (type == "h") sub(/ link to .*/, "", name)
    if (type !~ /[-dlh]/) refuse("the archive holds something else than files, directories and links: " name)
    if (name ~ /^\//) refuse("the archive holds an absolute path: " name)
    if (("/" name "/") ~ /\/\.\.\//) refuse("the archive holds a path that leads out of it: " name)
    if (++entries > most_entries) refuse("the archive holds more than " most_entries " entries")
    if (type == "-") bytes += $3
    if (bytes > most_bytes) refuse("the archive unpacks to more than " most_bytes " bytes")
  }
  END {
    if (!refused && entries == 0) refuse("the archive is empty")
    if (refused) exit ${EXIT.sourceRejected}
    printf "%d\n", bytes
  }'`;
}

/**
 * Unpacks what `inspectArchive` has accepted into the empty directory `directory`, as the site's user: owners are not
 * taken over, and GNU tar refuses once more what leads out. Exit codes: sourceRejected.
 */
export function unpackArchive(archive: Script, directory: string): Script {
  return sh`mkdir ${directory} && ${archive} |
  tar -x -f - -C ${directory} --no-same-owner --no-same-permissions --delay-directory-restore >&2 || {
  echo 'the archive cannot be unpacked' >&2
  exit ${EXIT.sourceRejected}
}`;
}
