import { failure } from '../workflows/failures.js';
import type { CheckedStep } from './certificate.js';
import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { serviceLock } from './service-lock.js';
import { sh, type Script } from './shell.js';

/** Who reaches one repository over SFTP, on the server that keeps its files, and nothing else there. */
export interface SftpUser {
  /** Id of the storage: its users are those whose names begin with it. */
  storage: string;
  /** The storage's directory, root's: what its users see as `/`. */
  path: string;
  /** Of the repository: the site's id. Its directory is the user's, and nobody else gets in. */
  name: string;
  /** As in authorized_keys. */
  key: string;
  /** Another one that gets in too, for as long as the one is to take the other's place. */
  besides?: string;
}

/** By what a user goes on the server; no site's is called so. */
export function sftpUserName({ storage, name }: Pick<SftpUser, 'storage' | 'name'>): string {
  const user = `${storage}-${name}`;
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(user)) throw failure('Bug', `${user} is no user of a storage`);
  return user;
}

/** Above those of sites and those that Debian gives out itself, below those of users' namespaces. */
const UIDS = ['--key', 'UID_MIN=70000', '--key', 'UID_MAX=99999', '--key', 'GID_MIN=70000', '--key', 'GID_MAX=99999'];

/**
 * Lets a user in over SFTP by this key alone, without a shell, a tunnel or a way out of the storage's directory, of which he
 * may not even list the rest. Exit codes: conflict (the directory is not root's alone), rejected (by sshd), lockTimeout.
 */
export function addSftpUser(wanted: SftpUser): CheckedStep {
  const { storage, path, name, key, besides } = wanted;
  const user = sftpUserName(wanted);
  const [home, keys] = [`${path}/${name}`, `${paths.backupKeys}/${user}`];
  const line = [besides, key].flatMap((one) => (one === undefined ? [] : [`restrict ${one}`])).join('\n');
  const file = `/etc/ssh/sshd_config.d/chom-${storage}.conf`;
  const text = configuration(storage, path);
  const check: Script = sh`[ "$(cat ${keys} 2>/dev/null)" = ${line} ] && [ "$(cat ${file} 2>/dev/null)" = ${text} ] || exit 1
[ "$(stat -c '%U %a' ${home} 2>/dev/null)" = ${`${user} 700`} ]`;
  return {
    check,
    act: sh`set -eu
umask 022
${serviceLock('storage')}
mkdir -p ${path}
# sshd's own rule for what somebody is confined to, of which it tells nobody but its log.
at=${path}
while :; do
  [ "$(stat -c %u "$at")" = 0 ] && [ -z "$(find "$at" -prune -perm /022)" ] && [ ! -L "$at" ] ||
    { echo "$at is not root's alone: nobody can be confined to what lies below it" >&2; exit ${EXIT.conflict}; }
  [ "$at" != / ] || break
  at=$(dirname "$at")
done
chmod 0711 ${path}
id -u ${user} >/dev/null 2>&1 ||
  useradd --user-group --home-dir / --no-create-home --shell /usr/sbin/nologin --comment 'CHOM backups' \
    ${UIDS} --key SUB_UID_COUNT=0 --key SUB_GID_COUNT=0 ${user}
install -d -o ${user} -g ${user} -m 0700 ${home}
install -d -m 0755 /etc/chom ${paths.backupKeys}
printf '%s\n' ${line} >${`${keys}.new`}
sync ${`${keys}.new`}
mv -fT ${`${keys}.new`} ${keys}
if [ "$(cat ${file} 2>/dev/null)" != ${text} ]; then
  printf '%s\n' ${text} >${file}
  said=$(/usr/sbin/sshd -t 2>&1) || {
    rm -f ${file}
    echo "sshd does not like how users of backups are let in: $said" >&2
    exit ${EXIT.rejected}
  }
  sync ${file}
  systemctl try-reload-or-restart ssh
fi
${check}`,
  };
}

/**
 * Lets a user in no more. The user stays as the owner of what lies there: his uid must not become another one's, who would
 * own it then. Succeeds when there was none.
 */
export function closeSftpUser(closed: Pick<SftpUser, 'storage' | 'name'>): CheckedStep {
  const keys = `${paths.backupKeys}/${sftpUserName(closed)}`;
  return { check: sh`[ ! -e ${keys} ]`, act: sh`rm -f ${keys} && sync ${paths.backupKeys}` };
}

/** Of one file, since it is read where Debian includes it: a Match ends with the file. */
function configuration(storage: string, path: string): string {
  return `# Managed by CHOM: who keeps backups in ${path}.
Match User ${storage}-*
  AuthorizedKeysFile ${paths.backupKeys}/%u
  AuthenticationMethods publickey
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  ChrootDirectory ${path}
  ForceCommand internal-sftp
  DisableForwarding yes
  PermitTTY no`;
}
