import { EXIT } from './exit-codes.js';
import { sh, type Script } from './shell.js';

/** A change of a user's authorized_keys. */
export interface KeyChange {
  check: Script;
  act: Script;
}

/**
 * Lets a key log in as a user: its line is in the user's authorized_keys exactly once, and what else is there stays. Done
 * as that user, whose home it is.
 */
export function authorizeKey(user: string, line: string): KeyChange {
  return {
    check: hasKey(user, line),
    act: atHome(
      user,
      sh`umask 077
mkdir -p "$1/.ssh" && cd "$1/.ssh" || exit 1
if [ -s authorized_keys ] && [ -n "$(tail -c 1 authorized_keys)" ]; then echo >>authorized_keys || exit 1; fi
${has(line)} || printf '%s\n' ${line} >>authorized_keys || exit 1
sync authorized_keys .`,
    ),
  };
}

/** Whether one key is in the file that CHOM changes, and that file one that it can change without harm. Exit codes of EXIT. */
export function expectKey(user: string, line: string): Script {
  return atHome(
    user,
    sh`${enter}
${has(line)} || { echo 'the key that gets in is not in authorized_keys' >&2; exit ${EXIT.unsupported}; }`,
  );
}

/**
 * Adds a key that may do what the one `beside` it may: with the options that stand before that one, `from="…"` for
 * example. Readers, and a crash, find the old file or the new one. Exit codes of EXIT.
 */
export function addKey(user: string, line: string, beside: string): KeyChange {
  return {
    check: hasKey(user, line),
    act: atHome(
      user,
      sh`${enter}
${has(line)} && exit
${has(beside)} || { echo 'the key that gets in is not in authorized_keys' >&2; exit ${EXIT.unsupported}; }
options=$(sed -nE ${`s,${pattern(beside)}.*,\\1,p`} authorized_keys | head -n 1) || exit 1
${rewrite(sh`cat authorized_keys && { [ -z "$(tail -c 1 authorized_keys)" ] || echo; } && printf '%s%s\n' "$options" ${line}`, beside)}`,
    ),
  };
}

/**
 * Takes keys away, every other line stays as it is, byte for byte. Where `kept` is not among those, nothing is changed:
 * nobody would get in any more. Exit codes of EXIT.
 */
export function removeKeys(user: string, lines: readonly string[], kept: string | null): KeyChange {
  const patterns = lines.flatMap((line) => ['-e', pattern(line)]);
  const none = sh`! grep -qsaE ${patterns} authorized_keys`;
  return {
    check: atHome(
      user,
      sh`cd "$1/.ssh" 2>/dev/null || exit 0
${none}`,
    ),
    act: atHome(
      user,
      sh`cd "$1/.ssh" 2>/dev/null && [ -e authorized_keys ] || exit 0
${none} && exit
${enter}
${kept === null ? sh`:` : sh`${has(kept)} || { echo 'the key that is to stay is not in authorized_keys' >&2; exit ${EXIT.conflict}; }`}
# 1: no other line is there. Anything else would leave a file that is cut short.
${rewrite(sh`{ grep -avE ${patterns} authorized_keys || [ $? -eq 1 ]; }`, kept)}`,
    ),
  };
}

function hasKey(user: string, line: string): Script {
  return atHome(
    user,
    sh`cd "$1/.ssh" 2>/dev/null || exit 1
${has(line)}`,
  );
}

function has(line: string): Script {
  return sh`grep -qsaE -e ${pattern(line)} authorized_keys`;
}

/** In the user's own hands, and no link: what is swapped by a rename would cease to be one, or another's. */
const enter = sh`umask 077
cd "$1/.ssh" || exit 1
if [ -L authorized_keys ] || [ ! -f authorized_keys ] || [ ! -O authorized_keys ]; then
  echo 'authorized_keys is a link, or not the user’s own' >&2
  exit ${EXIT.unsupported}
fi`;

/**
 * What `content` prints takes the place of the file, unless somebody changed that meanwhile. Mode and owner stay. `kept`: a key that
 * must be in what comes; without it nothing changes, for nobody might get in any more.
 */
function rewrite(content: Script, kept: string | null): Script {
  const next = '.authorized_keys.chom';
  const holds = kept === null ? sh`:` : sh`grep -qsaE -e ${pattern(kept)} ${next}`;
  return sh`was=$(sha256sum <authorized_keys) || exit 1
{ ${content}
} >${next} && ${holds} && chmod --reference=authorized_keys ${next} && sync ${next} || exit 1
if [ "$was" != "$(sha256sum <authorized_keys)" ]; then
  rm -f ${next}
  echo 'somebody else changes authorized_keys at this moment' >&2
  exit 1
fi
mv -fT ${next} authorized_keys && sync .`;
}

/** Runs as the user, with the home as `$1`. */
function atHome(user: string, { script }: Script): Script {
  return sh`home=$(getent passwd ${user} | cut -d : -f 6)
[ -n "$home" ] || { echo ${`there is no user ${user}`} >&2; exit 1; }
setpriv --reuid=${user} --regid="$(id -g ${user})" --init-groups sh -c ${script} sh "$home"`;
}

/**
 * As sed and grep -E take it: an entry of this key, whatever its comment and, as the first group, its options
 * (sshd(8), AUTHORIZED_KEYS FILE FORMAT). A key is known by its blob; a line behind a `#` lets nobody in.
 */
function pattern(line: string): string {
  const [type = '', blob = ''] = line.split(' ');
  const key = `${type}[[:blank:]]+${blob.replaceAll('+', '[+]')}`;
  return `^[[:blank:]]*(([^#[:blank:]].*[[:blank:]])?)${key}([[:blank:]]|$)`;
}
