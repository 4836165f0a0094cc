import { sh, type Script } from './shell.js';

/**
 * Lets a key log in as a user: its line is in the user's authorized_keys exactly once, and what else is there stays. Done
 * as that user, whose home it is.
 */
export function authorizeKey(user: string, line: string): { check: Script; act: Script } {
  const find = sh`home=$(getent passwd ${user} | cut -d : -f 6)
[ -n "$home" ] || { echo ${`there is no user ${user}`} >&2; exit 1; }`;
  return {
    check: sh`${find}
grep -qsxF -e ${line} "$home/.ssh/authorized_keys"`,
    act: sh`${find}
setpriv --reuid=${user} --regid="$(id -g ${user})" --init-groups sh -c ${
      sh`umask 077
mkdir -p "$1/.ssh" && cd "$1/.ssh" || exit 1
if [ -s authorized_keys ] && [ -n "$(tail -c 1 authorized_keys)" ]; then echo >>authorized_keys || exit 1; fi
grep -qsxF -e ${line} authorized_keys || printf '%s\n' ${line} >>authorized_keys || exit 1
sync authorized_keys .`.script
    } sh "$home"`,
  };
}
